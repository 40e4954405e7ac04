import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parse, problemsOf, refuses, warns, withBindings, withPolicy } from './support.js';

describe('YAML', () => {
  test('every syntax error is told', () => {
    refuses(
      'policies: [1\nbindings: 2\n  c: 3\n}\n',
      '2:1+1 not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
      '2:11+1 not valid YAML: Nested mappings are not allowed in compact mappings',
      '2:11+1 not valid YAML: Implicit keys need to be on a single line',
      '4:1+1 not valid YAML: Unexpected flow-map-end token in YAML stream: "}"',
    );
  });

  test('a tab does not indent', () => {
    refuses('policies:\n\tp: 1\n', '2:1+1 not valid YAML: Tabs are not allowed as indentation');
  });

  test('a key that is given twice is told with the line of the first', () => {
    refuses(
      'policies: {}\nbindings: []\npolicies: {}\negress: required\negress: optional\n',
      '3:1+8 duplicate key `policies`: line 1 has it already',
      '5:1+6 duplicate key `egress`: line 4 has it already',
    );
  });

  test('a key is text', () => {
    refuses(
      'policies: { 1: { default: drop }, ~: 1, [a]: 1 }\nbindings: []\n',
      '1:13+1 a key must be text, not the number 1 | Put quotes around it.',
      '1:35+1 a key must be text, not nothing | Put quotes around it.',
      '1:41+3 a key must be text, not a list | Put quotes around it.',
    );
  });

  test('a key that the schema library would skip is refused', () => {
    refuses(
      withPolicy('default: drop', 'variables: { __proto__: 1 }'),
      '4:18+9 no key can be named `__proto__`',
    );
  });

  test('one file holds one document', () => {
    refuses(
      'policies: {}\n---\nbindings: []\n',
      '3:1+1 a second YAML document: one file holds one configuration',
    );
  });

  test('tags, and the booleans and numbers of YAML 1.1, are refused', () => {
    refuses(withPolicy('default: !foo drop'), '3:14+4 not valid YAML: Unresolved tag: !foo');
    refuses(
      withPolicy('ingress: !!binary YWNjZXB0', 'variables: !!set { a }'),
      '3:14+8 not valid YAML: Unresolved tag: tag:yaml.org,2002:binary',
      '4:16+5 not valid YAML: Unresolved tag: tag:yaml.org,2002:set',
    );
    refuses(
      '%YAML 1.1\n---\npolicies: {}\nbindings: []\n',
      '1:1+9 YAML 1.1 is not supported: this is YAML 1.2',
    );
  });

  test('an alias needs an anchor before it, and must not contain itself', () => {
    refuses(withPolicy('ingress: *rules'), '3:14+6 there is no anchor `&rules` before this alias');
    refuses('policies: &all { p: *all }\nbindings: []\n', '1:21+4 this alias contains itself');
  });
});

describe('keys and types', () => {
  test('what is missing is told', () => {
    refuses(
      'egress: required\n',
      '1:1+16 missing key `policies` in the configuration',
      '1:1+16 missing key `bindings` in the configuration',
    );
    refuses(withBindings('{ device: "*" }'), '4:3+15 missing key `policy` in a binding');
  });

  test('an unknown key is told with the one that was meant', () => {
    refuses(
      'polices: {}\npolicies: {}\nBindings: []\nbindings: []\nwhatever: 1\ndevices: { prefix: [a] }\n',
      '1:1+7 unknown key `polices` in the configuration | Did you mean `policies`?',
      '3:1+8 unknown key `Bindings` in the configuration | Did you mean `bindings`?',
      '5:1+8 unknown key `whatever` in the configuration | The keys here are `devices`, `placement`, `unmatched`, `egress`, `namespaces`, `owner`, `reconcile`, `control`, `libvirt-state`, `metrics`, `sets`, `policies`, `domain-policies`, `bindings`.',
      '6:12+6 unknown key `prefix` in `devices` | Did you mean `prefixes`?',
    );
    refuses(
      withPolicy('default: drop', 'ingres: accept'),
      '4:5+6 unknown key `ingres` in the policy `p` | Did you mean `ingress`?',
    );
    refuses(
      withBindings('{ devcie: "*", policy: p, mac: 52:54:00:00:00:01 }'),
      '4:5+6 unknown key `devcie` in a binding | Did you mean `device`?',
    );
  });

  test('a wrong type is told with what was expected', () => {
    refuses(
      'devices: [macvtap]\negress: yes\npolicies: []\nbindings: {}\n',
      '1:10+9 expected a map, got a list',
      '2:9+3 expected `required` or `optional`, got the text `yes`',
      '3:11+2 expected a map, got a list',
      '4:11+2 expected a list, got a map',
    );
    refuses(
      'devices: { prefixes: macvtap }\negress: true\npolicies:\nbindings:\n',
      '1:22+7 expected a list, got the text `macvtap`',
      '2:9+4 expected `required` or `optional`, got the boolean true',
      '3:1+8 expected a map, got nothing',
      '4:1+8 expected a list, got nothing',
    );
    refuses(
      withPolicy('ingress: 5', 'egress: [a]', 'default: acept', 'variables: x'),
      '3:14+1 expected text, got the number 5',
      '4:13+3 expected text, got a list',
      '5:14+5 expected `accept` or `drop`, got the text `acept`',
      '6:16+1 expected a map, got the text `x`',
    );
    refuses(
      withBindings('{ device: 5, policy: [p] }', 'foo', '', '{ mac: , policy: p }'),
      '4:13+1 expected text, got the number 5',
      '4:24+3 expected text, got a list',
      '5:3+3 expected a map, got the text `foo`',
      '6:3+1 expected a map, got nothing',
      '7:5+3 expected text, got nothing',
    );
  });

  test('a mistake in one part hides none in another', () => {
    refuses(
      [
        'devices: { prefixes: [""] }',
        'egrss: optional',
        'policies:',
        '  p: { gaurds: [], default: maybe }',
        'bindings:',
        '- { device: "*", policy: q, what: 1 }',
        '- { policy: 1 }',
      ].join('\n'),
      '1:23+2 an empty prefix | Name the devices, such as `macvtap`.',
      '2:1+5 unknown key `egrss` in the configuration | Did you mean `egress`?',
      '4:8+6 unknown key `gaurds` in the policy `p` | Did you mean `guards`?',
      '4:29+5 expected `accept` or `drop`, got the text `maybe`',
      '6:26+1 there is no policy `q`',
      '6:29+4 unknown key `what` in a binding | The keys here are `device`, `parent`, `mac`, `alias`, `guest`, `uuid`, `namespace`, `addresses`, `policy`.',
      '7:3+13 this binding selects nothing | Name what it is for; `device: "*"` is every device.',
      '7:13+1 expected text, got the number 1',
    );
  });
});

describe('devices', () => {
  test('a prefix must be able to begin a name', () => {
    refuses(
      'devices: { prefixes: [a b, a/b, "a:b", "à", abcdefghijklmnop, "x\\0"] }\npolicies: {}\nbindings: []\n',
      '1:23+3 no interface name can begin with `a b`: it contains a blank',
      '1:28+3 no interface name can begin with `a/b`: it contains `/`',
      '1:33+5 no interface name can begin with `a:b`: it contains `:`',
      // Two bytes in UTF-8, C3 A0, and A0 is a blank to the kernel.
      '1:40+3 no interface name can begin with `à`: it contains a blank',
      '1:45+16 no interface name can begin with `abcdefghijklmnop`: it has 16 bytes, 15 is the most',
      '1:63+5 no interface name can begin with `x\\u0000`: it contains a NUL',
    );
  });

  test('a list of prefixes is not empty and has each once', () => {
    refuses(
      'devices: { prefixes: [] }\npolicies: {}\nbindings: []\n',
      '1:22+2 no prefix: no device would ever be looked at',
    );
    refuses(
      'devices: { prefixes: [a, b, a] }\npolicies: {}\nbindings: []\n',
      '1:29+1 the text `a` is in this list already',
    );
  });
});

describe('policies', () => {
  test('a name is one the kernel and nft can carry', () => {
    const hint = 'Up to 63 letters, digits, `.`, `_` and `-`, the first a letter or digit.';
    const long = 'a'.repeat(64);
    refuses(
      [
        'policies:',
        '  -a: { default: drop }',
        '  a b: { default: drop }',
        `  ${long}: { default: drop }`,
        'bindings: []',
      ].join('\n'),
      `2:3+2 \`-a\` cannot be the name of a policy | ${hint}`,
      `3:3+3 \`a b\` cannot be the name of a policy | ${hint}`,
      `4:3+64 \`${long}\` cannot be the name of a policy | ${hint}`,
    );
    assert.equal(parse(`policies: { ${'a'.repeat(63)}: { default: drop } }\nbindings: []`).policies.size, 1);
  });

  test('a policy says something, and not two things', () => {
    refuses(
      withPolicy('variables: {}'),
      '2:3+1 the policy `p` says nothing: it needs `file`, or one of `ingress`, `egress` and `default`',
    );
    const hint = 'A file is used as it is: put the rules and the policies of its chains there.';
    refuses(
      withPolicy('file: a.nft', 'ingress: accept', 'egress: accept', 'default: drop'),
      `4:5+7 \`ingress\` and \`file\` exclude each other | ${hint}`,
      `5:5+6 \`egress\` and \`file\` exclude each other | ${hint}`,
      `6:5+7 \`default\` and \`file\` exclude each other | ${hint}`,
    );
    refuses(withPolicy('file: ""'), '3:11+2 an empty path');
    refuses(withPolicy('file: "a\\0b"'), '3:11+6 a path with a NUL');
  });

  test('a variable has a name and a value that nft takes', () => {
    refuses(
      withPolicy(
        'default: drop',
        'variables:',
        '  intf: eth0',
        '  tcp: 1',
        '  1a: 2',
        '  half: 1.5',
        '  flag: true',
        '  many: "1; 2"',
      ),
      '5:7+4 `intf` cannot be a variable: it is given to every policy, as the name of the device',
      '6:7+3 `tcp` cannot be a variable: it is a keyword of nft',
      '7:7+2 `1a` cannot be a variable: nft wants a letter or `_` first, then letters, digits, `_`, `-`, `.` or `/`',
      '8:13+3 expected text or a whole number, got the number 1.5',
      '9:13+4 expected text or a whole number, got the boolean true',
      '10:13+6 not a value for an nft variable: it has a `;`',
    );
  });

  test('rules that would leave their chain are refused where they stand', () => {
    refuses(
      withPolicy('ingress: |', '  accept', '  } chain evil {', 'egress: "include \\"/etc/shadow\\""'),
      '5:7+1 this `}` has no `{`: it would end the chain that tapwall puts these rules into',
      '5:20+1 this `{` has no `}`',
      '6:13+1 `include` is not allowed in an inline policy | Put the rules into a file of their own and name it with `file`.',
    );
  });
});

describe('bindings', () => {
  test('a policy that does not exist is told with the nearest that does', () => {
    refuses(
      'policies: { lan-guard: { default: drop }, dmz: { default: drop } }\nbindings:\n- { device: "a*", policy: lan-gard }\n- { device: "macvtap*", policy: x }\n',
      '3:13+4 this binding can never match: `a*` matches no name that begins with `macvtap` | Only such devices are looked at: the list is `devices.prefixes`.',
      '3:27+8 there is no policy `lan-gard` | Did you mean `lan-guard`?',
      '4:33+1 there is no policy `x`',
    );
  });

  test('a policy that is wrong in itself still exists', () => {
    refuses(
      'policies: { p: { default: maybe } }\nbindings: [{ device: "*", policy: p }]\n',
      '1:27+5 expected `accept` or `drop`, got the text `maybe`',
    );
  });

  test('a name, a glob or a MAC is one', () => {
    refuses(
      withBindings(
        '{ parent: "a b", policy: p }',
        '{ parent: "", policy: p }',
        '{ parent: "..", policy: p }',
        '{ mac: 52:54:00:aa:bb, policy: p }',
        '{ mac: 52:54-00:aa:bb:cc, policy: p }',
        '{ device: "[a", policy: p }',
        '{ alias: "{a", policy: p }',
        '{ alias: "", policy: p }',
      ),
      '4:13+5 `a b` cannot be the name of an interface: it contains a blank',
      '5:13+2 `` cannot be the name of an interface: it is empty',
      '6:13+4 `..` cannot be the name of an interface: the kernel reserves it',
      '7:10+14 `52:54:00:aa:bb` is not a MAC address | Write it as `52:54:00:aa:bb:cc`.',
      '8:10+17 `52:54-00:aa:bb:cc` is not a MAC address | Write it as `52:54:00:aa:bb:cc`.',
      '9:13+4 not a glob: a `[` without its `]`',
      '10:12+4 not a glob: a `{` without its `}`',
      '11:12+2 not a glob: an empty glob matches nothing',
    );
  });
});

describe('warnings', () => {
  test('a policy that no binding uses', () => {
    warns('policies: { a: { default: drop } }\nbindings: []\n', '1:13+1 no binding uses the policy `a`');
  });

  test('a parent that looks like a glob', () => {
    warns(
      withBindings('{ parent: "enp*", policy: p }'),
      '4:13+6 `parent` is a name, not a glob: it means a link that is called `enp*`',
    );
  });

  test('rules whose lines YAML joins', () => {
    const hint = 'To keep one rule per line write the text after a `|`.';
    warns(
      withPolicy('ingress: >', '  accept', '  drop', 'egress: accept', '  drop'),
      `3:14+1 YAML joins these lines into one | ${hint}`,
      `6:13+6 YAML joins these lines into one | ${hint}`,
    );
    warns(withPolicy('ingress: >', '  accept', 'egress: "a\\nb"'));
  });
});

describe('the list of problems', () => {
  test('is in the order of the file, each once', () => {
    refuses(
      'bindings: [{ device: "*", policy: p }]\npolicies: { p: &p { default: maybe }, q: *p }\nx: 1\n',
      '2:30+5 expected `accept` or `drop`, got the text `maybe`',
      '3:1+1 unknown key `x` in the configuration | The keys here are `devices`, `placement`, `unmatched`, `egress`, `namespaces`, `owner`, `reconcile`, `control`, `libvirt-state`, `metrics`, `sets`, `policies`, `domain-policies`, `bindings`.',
    );
  });

  test('ends after a hundred', () => {
    const keys = Array.from({ length: 250 }, (_, index) => `x${index}: 1\n`).join('');
    const problems = problemsOf(() => parse(`${keys}policies: {}\nbindings: []\n`));
    assert.equal(problems.length, 101);
    assert.equal(problems.at(-1)?.message, 'and 150 more problems from here on');
    assert.equal(problems.at(-1)?.location?.line, 101);
  });

  test('does not repeat a line that nobody could read', () => {
    const [problem] = problemsOf(() => parse(`policies: {}\nbindings: []\n${'x'.repeat(2000)}: 1\n`));
    assert.equal(problem?.sourceLine, undefined);
    assert.ok((problem?.message.length ?? 0) < 200);
  });

  test('keeps control characters away from the terminal', () => {
    refuses(
      'policies: {}\nbindings: []\n"a\\e[31m": 1\n',
      '3:1+9 unknown key `a\\u001b[31m` in the configuration | The keys here are `devices`, `placement`, `unmatched`, `egress`, `namespaces`, `owner`, `reconcile`, `control`, `libvirt-state`, `metrics`, `sets`, `policies`, `domain-policies`, `bindings`.',
    );
  });
});
