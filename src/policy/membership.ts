import { host32 } from '../netlink/bytes.js';
import type { Expression } from '../nftables/rule.js';
import type { Member } from '../program/member.js';
import { type AssignedFacts, type FactKind, factBytes, factMembers } from './fact.js';

/** The map that says which policy each device has, by the policy's mark. */
export const DEVICE_POLICY = 'device.policy';

/** The mark of what is no policy: the device's own tables filter it, or nothing does. */
export const BY_HAND_MARK = 1;

/** By what the devices of one policy are its members. Plain data. */
export interface PolicyMembership {
  mark: number;
  /** What its guards compare frames with. */
  facts: readonly FactKind[];
  limits: readonly LimitMembership[];
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

/** All elements of one device: what its policy needs to know of it, and then the policy, which admits it. */
export function membersOf(device: AssignedFacts & { policy: PolicyMembership }): Member[] {
  const { index, policy } = device;
  const facts = factBytes(device);
  const members: Member[] = [];
  for (const kind of policy.facts) members.push(...factMembers(kind, facts));
  for (const { set, expression } of policy.limits) members.push({ set, key: host32(index), expression });
  members.push(policyMember(index, policy.mark));
  return members;
}
