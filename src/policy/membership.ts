import type { AssignedAddress } from '../config/configuration.js';
import { host32 } from '../netlink/bytes.js';
import type { Expression } from '../nftables/rule.js';
import type { Member } from '../program/member.js';
import type { MemberPattern } from '../program/member-template.js';
import {
  type AssignedFacts,
  type FactKind,
  type FactPattern,
  factMembers,
  factPatterns,
  macMember,
  macPattern,
} from './fact.js';

/** The map that says which policy each device has, by the policy's mark. */
export const DEVICE_POLICY = 'device.policy';

/** The mark of what is no policy: the device's own tables filter it, or nothing does. */
export const BY_HAND_MARK = 1;

/** The mark of no policy at all, which no chain stands for: the device is closed, and its element says more of it. */
export const CLOSED_MARK = 0xffffffff;

/**
 * Where frames are counted that passed, by direction. The agent makes a device's elements when it has nothing else to do:
 * to make one takes 3 µs, of which the VM must not wait for two. To count is to look up then, which takes half the time.
 */
export const ADMITTED_SETS = { ingress: 'ingress.admitted', egress: 'egress.admitted' } as const;

/** Where they are counted until then, in elements that the frames themselves make. */
export const EARLY_SETS = { ingress: 'ingress.admitted.early', egress: 'egress.admitted.early' } as const;

/** By what the devices of one policy are its members. Plain data. */
export interface PolicyMembership {
  mark: number;
  /** What its guards compare frames with. */
  facts: readonly FactKind[];
  limits: readonly LimitMembership[];
  /** Sets that its devices are in for the sake of speed. */
  plain: readonly PlainMembership[];
}

/** A set whose elements say no more than that the device is in it. */
export interface PlainMembership {
  set: string;
  /** Whether the key has the device's MAC behind its index. */
  withMac?: boolean;
}

export interface LimitMembership {
  set: string;
  /** The rate, ready for an element. */
  expression: Expression;
}

/** The element that gives a device its policy. */
export function policyMember(index: number, mark: number): Member {
  return { set: DEVICE_POLICY, key: host32(index), data: host32(mark) };
}

/** All elements of the devices of a policy that have such addresses, in order, but for what only a device knows. */
export function memberPatterns(
  policy: PolicyMembership,
  addresses: readonly AssignedAddress[],
): MemberPattern[] {
  return [
    ...policy.facts.flatMap((kind) => factPatterns(kind, addresses).map(memberPattern)),
    ...policy.limits.map(({ set, expression }) => ({ set, expression })),
    ...policy.plain.map(({ set, withMac }) => (withMac ? memberPattern(macPattern(set)) : { set })),
    { set: DEVICE_POLICY, data: host32(policy.mark), keepsMac: true },
  ];
}

function memberPattern({ set, source, length }: FactPattern): MemberPattern {
  return { set, rest: { source, length } };
}

/** All elements of one device: what its policy needs to know of it, and then the policy, which admits it. */
export function membersOf(device: AssignedFacts & { policy: PolicyMembership }): Member[] {
  const { index, policy } = device;
  const members: Member[] = [];
  for (const kind of policy.facts) members.push(...factMembers(kind, device));
  for (const { set, expression } of policy.limits) members.push({ set, key: host32(index), expression });
  for (const { set, withMac } of policy.plain) {
    members.push(...(withMac ? macMember(set, device) : [{ set, key: host32(index) }]));
  }
  members.push(policyMember(index, policy.mark));
  return members;
}
