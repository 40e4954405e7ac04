import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { expandNames, MOST_NAMES } from '#src/config/name-pattern.js';
import { parse, refuses, warns } from './support.js';

const REST = 'policies: {}\nbindings: []\n';
const withNames = (...names: string[]) =>
  `devices:\n  names:\n${names.map((n) => `  - "${n}"\n`).join('')}${REST}`;

describe('a pattern of names', () => {
  const cases: [pattern: string, ...names: string[]][] = [
    ['macvtap0', 'macvtap0'],
    ['vm-{web,mail}', 'vm-web', 'vm-mail'],
    ['macvtap{8..11}', 'macvtap8', 'macvtap9', 'macvtap10', 'macvtap11'],
    ['vm{0..0}', 'vm0'],
    ['vm{,x}', 'vm', 'vmx'],
    ['vm{0..1,7,a}', 'vm0', 'vm1', 'vm7', 'vma'],
    ['{a,b}{0..1}-{x,y}', 'a0-x', 'a0-y', 'a1-x', 'a1-y', 'b0-x', 'b0-y', 'b1-x', 'b1-y'],
    ['vm,1..2', 'vm,1..2'],
  ];
  for (const [pattern, ...names] of cases) {
    test(`${pattern} is written out`, () => assert.deepEqual(expandNames(pattern), names));
  }

  const flaws: [pattern: string, flaw: string][] = [
    ['', '`` cannot be the name of an interface: it is empty'],
    ['macvtap*', '`macvtap*` has a `*`: a hook that stands before its device needs the whole name'],
    ['macvtap?', '`macvtap?` has a `?`: a hook that stands before its device needs the whole name'],
    ['macvtap[0-9]', '`macvtap[0-9]` has a `[`: a hook that stands before its device needs the whole name'],
    ['a{b', 'a `{` without its `}`'],
    ['a}b', 'a `}` without its `{`'],
    ['a{b,{c,d}}', 'braces inside braces'],
    ['a{b}', 'braces with neither a comma nor a range'],
    ['a{}', 'braces with neither a comma nor a range'],
    ['a{1..b}', '`1..b` is not a range of numbers'],
    ['a{1..}', '`1..` is not a range of numbers'],
    ['a{1..2..3}', '`1..2..3` is not a range of numbers'],
    ['a{-1..2}', '`-1..2` is not a range of numbers'],
    ['a{00..10}', '`00..10` has leading zeros'],
    ['a{0..010}', '`0..010` has leading zeros'],
    ['a{5..4}', 'the range `5..4` runs backwards'],
    ['a{0..16384}', `more than ${MOST_NAMES} names`],
    ['a{0..999999999999999}', `more than ${MOST_NAMES} names`],
    ['{0..200}{0..200}', `more than ${MOST_NAMES} names`],
    [
      'macvtap{99999999..100000000}',
      '`macvtap100000000` cannot be the name of an interface: it has 16 bytes, 15 is the most',
    ],
    ['a b', '`a b` cannot be the name of an interface: it contains a blank'],
    ['a{/,b}', '`a/` cannot be the name of an interface: it contains `/`'],
  ];
  for (const [pattern, flaw] of flaws) {
    test(`${pattern} is refused`, () => {
      const result = expandNames(pattern);
      assert.equal('flaw' in result && result.flaw, flaw);
    });
  }

  test('of as many names as there may be is written out', () => {
    const names = expandNames('a{0..16383}');
    assert.ok(!('flaw' in names));
    assert.deepEqual([names.length, names.at(0), names.at(-1)], [MOST_NAMES, 'a0', 'a16383']);
  });

  test('stands for the product of its parts, whatever they are', () => {
    const text = fc.stringMatching(/^[a-z]{1,2}$/);
    const list = fc
      .array(text, { minLength: 2, maxLength: 3 })
      .map((names) => ({ written: `{${names.join(',')}}`, names }));
    const range = fc.tuple(fc.nat({ max: 120 }), fc.nat({ max: 12 })).map(([first, more]) => ({
      written: `{${first}..${first + more}}`,
      names: Array.from({ length: more + 1 }, (_, index) => `${first + index}`),
    }));
    const part = fc.oneof(
      text.map((written) => ({ written, names: [written] })),
      list,
      range,
    );
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 3 }), (parts) => {
        const expected = parts.reduce(
          (heads, { names }) => heads.flatMap((head) => names.map((name) => head + name)),
          [''],
        );
        assert.deepEqual(expandNames(parts.map(({ written }) => written).join('')), expected);
      }),
    );
  });

  test('of any text is names or a reason, and never too many', () => {
    const unit = fc.constantFrom('{', '}', ',', '..', '.', '0', '9', '99999', 'a', '*', '/', 'é', '-');
    fc.assert(
      fc.property(fc.array(unit, { maxLength: 20 }), (units) => {
        const result = expandNames(units.join(''));
        if ('flaw' in result) assert.notEqual(result.flaw, '');
        else assert.ok(result.length > 0 && result.length <= MOST_NAMES);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('devices.names', () => {
  test('are those of libvirt unless they are given', () => {
    const { names } = parse(`devices: { prefixes: [macvtap, vm] }\n${REST}`).devices;
    assert.deepEqual(
      [names.length, names[0], names[8191], names[8192]],
      [16_384, 'macvtap0', 'macvtap8191', 'vm0'],
    );
  });

  test('are cut to what an interface can be called, and each is there once', () => {
    const { names } = parse(`devices: { prefixes: [abcdefghijklm] }\n${REST}`).devices;
    assert.deepEqual([names.length, names.at(-1)], [100, 'abcdefghijklm99']);
    const twice = parse(`devices: { prefixes: [vm, vm1] }\n${REST}`).devices.names;
    assert.equal(new Set(twice).size, twice.length);
  });

  test('are fewer of each prefix when there are many, which is told where it counts', () => {
    const text = `devices: { prefixes: [a, b, c] }\n${REST}`;
    assert.equal(parse(text).devices.names.length, 3 * 5461);
    warns(
      text,
      '1:22+9 of each prefix only the first 5461 names can be hooked in advance where the kernel has no hooks on prefixes | Give `devices.names` the names that your devices have.',
    );
    warns(`${text}placement: prefix\n`);
    warns(`devices: { prefixes: [a, b, c], names: [a1] }\n${REST}`);
  });

  test('are those of all patterns, in their order', () => {
    assert.deepEqual(parse(withNames('macvtap{2..3}', 'macvtap0')).devices, {
      prefixes: ['macvtap'],
      names: ['macvtap2', 'macvtap3', 'macvtap0'],
    });
  });

  test('are refused at the pattern that is wrong', () => {
    refuses(
      withNames('macvtap*', 'macvtap{0..3}', 'macvtap2', 'macvtap{a,a}', 'vm0', 'macvtap{9..8}'),
      '3:5+10 `macvtap*` has a `*`: a hook that stands before its device needs the whole name | Write the names, or a range of numbers such as `macvtap{0..8191}`.',
      '5:5+10 this pattern makes the name `macvtap2` and the pattern in line 4 as well',
      '6:5+14 this pattern makes the name `macvtapa` twice',
      '7:5+5 `vm0` begins with none of the prefixes `macvtap` | Only devices that begin so are looked at: the list is `devices.prefixes`.',
      '8:5+15 the range `9..8` runs backwards',
    );
    refuses(withNames('macvtap{0..16383}', 'macvtapx', 'macvtapx'), '4:5+10 more than 16384 names together');
    refuses(
      `devices: { names: [] }\n${REST}`,
      '1:19+2 no name: leave the key out for those that libvirt gives',
    );
    refuses(`devices: { names: [5] }\n${REST}`, '1:20+1 expected text, got the number 5');
  });
});
