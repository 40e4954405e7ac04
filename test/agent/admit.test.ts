/** What admits a device: by a template the same as element by element. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { admit } from '#src/agent/admit.js';
import { admissionSegments } from '#src/agent/target.js';
import type { AssignedAddress } from '#src/config/configuration.js';
import { encodeTransaction } from '#src/nftables/transaction.js';
import type { FactKind } from '#src/policy/fact.js';
import type { PolicyMembership } from '#src/policy/membership.js';
import { NO_ADMISSION, TemplateAdmission } from '#src/program/admission.js';
import { memberSegment } from '#src/program/member.js';
import { attribute, n32 } from '../fixtures-support/bytes.js';

const FACTS: FactKind[] = ['mac.assigned', 'ip4.assigned', 'ip6.assigned', 'nd.target', 'nd.mac'];

const policy: PolicyMembership = {
  mark: 7,
  facts: FACTS,
  limits: [{ set: 'ingress.limit', expression: { name: 'limit', data: attribute(3, n32(5)) } }],
  plain: [
    { set: 'policy.lan.devices' },
    { set: 'policy.lan.macs', withMac: true },
    { set: 'egress.admitted' },
  ],
};

const hex = (byte: number) => byte.toString(16).padStart(2, '0');
const macs = fc
  .array(fc.integer({ min: 0, max: 255 }), { minLength: 6, maxLength: 6 })
  .map((bytes) => bytes.map(hex).join(':'));
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const addresses: fc.Arbitrary<AssignedAddress> = fc.oneof(
  fc.record({ family: fc.constant(4 as const), bytes: bytesOf(4), prefixLength: fc.constantFrom(24, 32) }),
  fc.record({ family: fc.constant(6 as const), bytes: bytesOf(16), prefixLength: fc.constantFrom(64, 128) }),
);

test('a template gives the messages that the elements would make, for any device', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 0x7fffffff }),
      macs,
      fc.array(addresses, { maxLength: 4 }),
      (index, mac, list) => {
        const admission = admit(policy, { index, mac, addresses: list });
        for (const kind of ['join', 'leave'] as const) {
          const listed = memberSegment(kind, admission.members);
          assert.deepEqual(encodeTransaction([admission[kind]()], 1), encodeTransaction([listed], 1));
        }
      },
    ),
  );
});

test('it is used for every device but those whose facts cannot have places', () => {
  const mac = '52:54:00:aa:bb:cc';
  const four: AssignedAddress = { family: 4, bytes: Uint8Array.of(192, 0, 2, 1), prefixLength: 32 };
  const own: AssignedAddress = {
    family: 6,
    bytes: Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x50, 0x54, 0, 0xff, 0xfe, 0xaa, 0xbb, 0xcc),
    prefixLength: 128,
  };
  const isReady = (facts: { mac: string; addresses: AssignedAddress[] }) =>
    admit(policy, { index: 1, ...facts }) instanceof TemplateAdmission;
  assert.ok(isReady({ mac, addresses: [four] }));
  // An element twice in one transaction would leave twice, and the kernel would refuse it.
  assert.ok(!isReady({ mac, addresses: [four, { ...four }] }));
  assert.ok(!isReady({ mac, addresses: [own] }));
  assert.ok(!isReady({ mac: '', addresses: [] }));
  assert.ok(!isReady({ mac: '00:00:00:00:00:00:00:00', addresses: [] }));
  const { members } = admit(policy, { index: 1, mac, addresses: [own, four, { ...four }] });
  const keys = members.map(({ set, key }) => `${set} ${Buffer.from(key).toString('hex')}`);
  assert.equal(new Set(keys).size, keys.length);
});

test('what is the same is left alone, and what is not is compared element by element', () => {
  const list: AssignedAddress[] = [{ family: 4, bytes: Uint8Array.of(192, 0, 2, 1), prefixLength: 32 }];
  const device = { index: 5, mac: '52:54:00:aa:bb:cc', addresses: list };
  const one = admit(policy, device);
  const nothing = { leave: undefined, join: undefined };
  assert.deepEqual(admissionSegments(one, admit(policy, { ...device })), nothing);
  // Another plan has other objects that say the same.
  assert.deepEqual(
    admissionSegments(one, admit({ ...policy }, { ...device, addresses: [...list] })),
    nothing,
  );
  assert.deepEqual(admissionSegments(NO_ADMISSION, NO_ADMISSION), nothing);
  const other = admissionSegments(one, admit({ ...policy, mark: 8 }, device));
  assert.deepEqual(
    [other.leave?.labels, other.join?.labels],
    [['DELSETELEM device.policy'], ['NEWSETELEM device.policy']],
  );
  const renumbered = admissionSegments(one, admit(policy, { ...device, index: 6 }));
  assert.equal(renumbered.join?.labels.length, one.members.length);
});
