import { describe, test } from 'node:test';
import { refuses, warns, withBindings } from './support.js';

const NEVER = 'this binding can never match:';
const FIRST = 'The first binding that matches wins: put the narrower one first, or take this one out.';
const covered = (place: string, line = 4) =>
  `${place} ${NEVER} the one in line ${line} comes first and matches everything it matches | ${FIRST}`;

describe('a binding that an earlier one covers', () => {
  test('by being the same', () => {
    refuses(
      withBindings('{ mac: 52:54:00:00:00:01, policy: p }', '{ mac: 52-54-00-00-00-01, policy: p }'),
      covered('5:3+37'),
    );
    refuses(withBindings('{ alias: "a*b", policy: p }', '{ alias: "a*b", policy: p }'), covered('5:3+27'));
  });

  test('by taking every device', () => {
    refuses(
      withBindings(
        '{ device: "*", policy: p }',
        '{ parent: eth0, policy: p }',
        '{ device: macvtap1, policy: p }',
      ),
      covered('5:3+27'),
      covered('6:3+31'),
    );
  });

  test('by taking every device that is looked at', () => {
    refuses(withBindings('{ device: "mac*", policy: p }', '{ parent: eth0, policy: p }'), covered('5:3+27'));
    refuses(
      withBindings('{ device: "macvtap*", policy: p }', '{ device: "*", policy: p }'),
      covered('5:3+26'),
    );
    refuses(
      `devices: { prefixes: [macvtap, vmtap] }\n${withBindings('{ device: "{macvtap,vm}*", policy: p }', '{ parent: eth0, policy: p }')}`,
      covered('6:3+27', 5),
    );
  });

  test('by guest and UUID', () => {
    const uuid = '0d6e7c0a-3a4b-4a52-9d6c-0f4f5d8a1b2c';
    refuses(
      withBindings('{ guest: "web-*", policy: p }', `{ guest: web-1, uuid: ${uuid}, policy: p }`),
      covered('5:3+71'),
    );
    warns(
      withBindings(
        '{ guest: web-1, policy: p }',
        '{ guest: web-2, policy: p }',
        '{ device: "*", policy: p }',
      ),
    );
    warns(withBindings(`{ uuid: ${uuid}, policy: p }`, '{ guest: "*", policy: p }'));
  });

  test('with a prefix', () => {
    refuses(
      withBindings(
        '{ device: "macvtap1*", policy: p }',
        '{ device: "macvtap1?", policy: p }',
        '{ device: macvtap12, policy: p }',
        '{ device: "macvtap1{2,3*}", parent: eth0, policy: p }',
      ),
      covered('5:3+34'),
      covered('6:3+32'),
      covered('7:3+53'),
    );
    refuses(withBindings('{ alias: "*", policy: p }', '{ alias: "a?", policy: p }'), covered('5:3+26'));
  });

  test('with a glob that matches its one name', () => {
    refuses(
      withBindings(
        '{ device: "*[13]", policy: p }',
        '{ device: macvtap3, policy: p }',
        '{ device: "macvtap{1,3}", policy: p }',
      ),
      covered('5:3+31'),
      covered('6:3+37'),
    );
  });

  test('with fewer selectors', () => {
    refuses(
      withBindings(
        '{ parent: eth0, policy: p }',
        '{ parent: eth0, mac: 52:54:00:00:00:01, alias: a, policy: p }',
      ),
      covered('5:3+61'),
    );
  });
});

describe('a binding that may still match is left alone', () => {
  const pairs: [name: string, earlier: string, later: string][] = [
    ['another MAC', 'mac: 52:54:00:00:00:01', 'mac: 52:54:00:00:00:02'],
    ['another parent', 'parent: eth0', 'parent: eth1'],
    ['an earlier one with more selectors', 'parent: eth0, alias: a', 'parent: eth0'],
    ['one of several names', 'device: macvtap1', 'device: "macvtap{1,2}"'],
    ['a wider glob', 'device: "macvtap1*"', 'device: "macvtap*"'],
    ['a prefix that does not reach', 'device: "macvtap1*"', 'device: "macvtap?"'],
    ['stars in the middle, which nothing is concluded from', 'device: "m*1"', 'device: "m*11"'],
    ['any alias before no selector of an alias', 'alias: "*"', 'device: "*"'],
    ['a class that overlaps', 'device: "macvtap[1-5]"', 'device: "macvtap[3-7]"'],
  ];
  for (const [name, earlier, later] of pairs) {
    test(name, () => warns(withBindings(`{ ${earlier}, policy: p }`, `{ ${later}, policy: p }`)));
  }

  test('nothing is concluded from a binding that has a mistake of its own', () => {
    refuses(
      withBindings('{ device: "*", plicy: 1, policy: p }', '{ device: macvtap1, policy: p }'),
      '4:18+5 unknown key `plicy` in a binding | Did you mean `policy`?',
    );
    refuses(
      withBindings('{ mac: 1, device: "*", policy: p }', '{ device: macvtap1, policy: p }'),
      '4:10+1 expected text, got the number 1',
    );
  });
});

describe('a binding that matches nothing by itself', () => {
  test('because no interface has such a name', () => {
    refuses(
      withBindings(
        '{ device: macvtap123456789, policy: p }',
        '{ device: "macvtap?????????", policy: p }',
        '{ device: "macvtap/*", policy: p }',
        '{ device: "macvtap 1", policy: p }',
        '{ device: "mac:*", policy: p }',
        '{ device: "{.,..}", policy: p }',
      ),
      `4:13+16 ${NEVER} \`macvtap123456789\` matches no interface name: it has 16 bytes, 15 is the most`,
      `5:13+18 ${NEVER} \`macvtap?????????\` matches no interface name: it asks for 16 bytes or more, 15 is the most`,
      `6:13+11 ${NEVER} \`macvtap/*\` matches no interface name: it contains \`/\``,
      `7:13+11 ${NEVER} \`macvtap 1\` matches no interface name: it contains a blank`,
      `8:13+7 ${NEVER} \`mac:*\` matches no interface name: it contains \`:\``,
      `9:13+8 ${NEVER} \`{.,..}\` matches no interface name: the kernel reserves it`,
    );
    warns(withBindings('{ device: "macvtap{12345678,123456789}", policy: p }'));
  });

  test('because no such device is looked at', () => {
    const hint = 'Only such devices are looked at: the list is `devices.prefixes`.';
    refuses(
      withBindings(
        '{ device: vnet0, policy: p }',
        '{ device: "mactap*", policy: p }',
        '{ device: mac, policy: p }',
      ),
      `4:13+5 ${NEVER} \`vnet0\` matches no name that begins with \`macvtap\` | ${hint}`,
      `5:13+9 ${NEVER} \`mactap*\` matches no name that begins with \`macvtap\` | ${hint}`,
      `6:13+3 ${NEVER} \`mac\` matches no name that begins with \`macvtap\` | ${hint}`,
    );
    refuses(
      `devices: { prefixes: [vm, tap] }\n${withBindings('{ device: "macvtap*", policy: p }')}`,
      `5:13+10 ${NEVER} \`macvtap*\` matches no name that begins with \`vm\` or \`tap\` | ${hint}`,
    );
    warns(
      withBindings(
        '{ device: "m*", parent: a, policy: p }',
        '{ device: "?acvtap1", policy: p }',
        '{ device: "[a-z]*", policy: p }',
      ),
    );
  });

  test('but not while the list of prefixes is wrong itself', () => {
    refuses(
      `devices: { prefixes: [vm, ""] }\n${withBindings('{ device: "macvtap*", policy: p }')}`,
      '1:27+2 an empty prefix | Name the devices, such as `macvtap`.',
    );
  });

  test('because no device has such an address', () => {
    refuses(
      withBindings(
        '{ mac: 01:00:5e:00:00:01, policy: p }',
        '{ mac: FF-FF-FF-FF-FF-FF, policy: p }',
        '{ mac: 00:00:00:00:00:00, policy: p }',
      ),
      `4:10+17 ${NEVER} no device has the address 01:00:5e:00:00:01: it is a multicast address`,
      `5:10+17 ${NEVER} no device has the address ff:ff:ff:ff:ff:ff: it is a multicast address`,
      `6:10+17 ${NEVER} no device has the address 00:00:00:00:00:00: it is all zero`,
    );
  });

  test('because a device is not its own parent', () => {
    refuses(
      withBindings('{ device: macvtap1, parent: macvtap1, policy: p }'),
      `4:3+49 ${NEVER} \`macvtap1\` cannot be its own parent`,
    );
    warns(withBindings('{ device: "macvtap1*", parent: macvtap1, policy: p }'));
  });

  test('because no alias is that long', () => {
    refuses(
      withBindings(`{ alias: "${'a'.repeat(255)}?", policy: p }`),
      `4:12+258 ${NEVER} \`${'a'.repeat(80)}…\` matches no alias: it asks for 256 bytes or more, 255 is the most`,
    );
  });
});
