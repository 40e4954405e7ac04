import type { AssignedAddress, Binding } from '../config/configuration.js';
import { TapwallError } from '../error.js';
import { equalBytes } from '../netlink/bytes.js';
import type { Segment } from '../nftables/transaction.js';
import { factPatterns, isOfAddress } from '../policy/fact.js';
import { CLOSED_MARK, DEVICE_POLICY, type PolicyMembership, policyMember } from '../policy/membership.js';
import { type Admission, ClosedAdmission, NO_ADMISSION } from '../program/admission.js';
import { type Member, memberKey, memberSegment } from '../program/member.js';
import { deviceTableName } from '../program/name.js';
import type { Program } from '../program/program.js';
import { encodeDeviceRecord } from '../program/told-facts.js';
import { admit } from './admit.js';
import type { Device } from './device.js';
import type { Plan } from './plan.js';

/** What a device should have. */
export interface Target {
  /** What events call its policy; undefined for a device that nothing admits. */
  policy: string | undefined;
  admission: Admission;
  /** For a policy with tables of its own. */
  program: Program | undefined;
  /** True where the device keeps the tables it has, whatever they are: a hand has attached them. */
  keepsTables?: boolean;
  /** The name its own hooks should stand on; undefined where hooks stand already, or none are wanted. */
  hook: string | undefined;
}

/** What `unmatched: accept` is called where a policy's name is expected. */
export const UNMATCHED_ACCEPT = '(accept)';

/** Whether a device needs hooks of its own to stand behind the door. */
export function needsHook(plan: Plan, name: string): boolean {
  switch (plan.placement) {
    case 'prefix':
      return false;
    case 'names':
      return !plan.names.has(name);
    default:
      return true;
  }
}

/**
 * What a device that stands behind the door should have.
 * @throws TapwallError when what was told of it does not go with the plan.
 */
export function targetOf(plan: Plan, device: Device, binding: Binding | undefined): Target {
  const { link, assignedMac, told } = device;
  const hook = needsHook(plan, link.name) ? link.name : undefined;
  const planned = policyFor(plan, told?.policy ?? binding?.policy);
  if (!planned) return { policy: undefined, admission: closedAdmission(device), program: undefined, hook };
  const { name, policy, program } = planned;
  const addresses = told?.addresses ?? binding?.addresses ?? NO_ADDRESSES;
  if (told) checkTold(plan, planned, addresses);
  const admission = admit(policy, { index: link.index, mac: assignedMac, addresses, told });
  return { policy: name, admission, program, hook };
}

/** What keeps a device closed: nothing, unless the next agent has to know something of it. */
export function closedAdmission({ link, assignedMac, told }: Device): Admission {
  if (!told) return NO_ADMISSION;
  const userdata = encodeDeviceRecord(assignedMac, told);
  return new ClosedAdmission([{ ...policyMember(link.index, CLOSED_MARK), userdata }]);
}

/** What a device should have whose door is closed on request. Tables of its own stay, behind the door. */
export function quarantineTarget(plan: Plan, device: Device): Target {
  const hook = needsHook(plan, device.link.name) ? device.link.name : undefined;
  const admission = closedAdmission(device);
  return { policy: undefined, admission, program: undefined, keepsTables: true, hook };
}

/** What a device should have that a hand has given tables of its own: they alone filter it. */
export function handTarget(plan: Plan, device: Device): Target {
  const { policy: _, ...target } = targetOf({ ...plan, unmatched: { action: 'accept' } }, device, undefined);
  return { ...target, policy: undefined, keepsTables: true };
}

const NO_ADDRESSES: readonly AssignedAddress[] = [];

/** @param wanted the policy that a binding or somebody who knows the VM names. */
function policyFor(
  { policies, unmatched, byHand }: Plan,
  wanted: string | undefined,
): { name: string; policy: PolicyMembership; program: Program | undefined } | undefined {
  if (wanted === undefined && unmatched.action === 'accept') {
    return { name: UNMATCHED_ACCEPT, policy: byHand, program: byHand.program };
  }
  const name = wanted ?? (unmatched.action === 'policy' ? unmatched.policy : undefined);
  const policy = name === undefined ? undefined : policies.get(name);
  if (policy) return { name: policy.name, policy, program: policy.program };
  if (name === undefined) return undefined;
  throw new TapwallError('POLICY_NOT_FOUND', `the configuration has no policy ${name}`, {
    hint: `Its policies are ${[...policies.keys()].join(', ')}.`,
  });
}

/** What a configuration is refused for where it says such things itself. */
function checkTold(
  { blueprint }: Plan,
  { name, policy }: { name: string; policy: PolicyMembership },
  addresses: readonly AssignedAddress[],
): void {
  if (addresses.length === 0 && policy.facts.some(isOfAddress)) {
    throw new TapwallError(
      'ARGUMENT',
      `the policy ${name} compares addresses, and none was told: the VM could use no address at all`,
      { hint: 'Tell the VM’s addresses, or choose a policy without such guards.' },
    );
  }
  const missing = policy.facts
    .flatMap((kind) => factPatterns(kind, addresses))
    .find(({ set }) => !blueprint.sets.some((one) => one.name === set));
  if (missing) {
    const [, length] = /\.(\d+)$/.exec(missing.set) ?? [];
    throw new TapwallError('ARGUMENT', `no binding has an address with a prefix of length ${length}`, {
      hint: 'The tables have a set for each length that a binding uses: name one there, or tell single addresses.',
    });
  }
}

/** The kernel's names of the tables that a program has for a device, sorted. */
export function tablesFor(program: Program, index: number): string[] {
  return program.tables.map((table) => deviceTableName(index, table)).sort();
}

/** True when an agent gave the device exactly the tables that the program would give it now. */
export function hasProgram(device: Device, program: Program): boolean {
  const { link, origin, digest, attachedName, tables } = device;
  const expected = tablesFor(program, link.index);
  return (
    origin === 'agent' &&
    digest === program.digest &&
    attachedName === link.name &&
    tables.length === expected.length &&
    tables.every((name, at) => name === expected[at])
  );
}

/** The messages that turn what admits a device into what should. */
export function admissionSegments(
  present: Admission,
  wanted: Admission,
): { leave: Segment | undefined; join: Segment | undefined } {
  const [isSame, none] = [present.isSame(wanted), undefined];
  if (isSame) return { leave: none, join: none };
  if (present.isEmpty) return { leave: none, join: wanted.join() };
  if (wanted.isEmpty) return { leave: present.leave(), join: none };
  const { leave, join } = compareMembers(present.members, wanted.members);
  return {
    leave: leave.length > 0 ? memberSegment('leave', leave) : none,
    join: join.length > 0 ? memberSegment('join', join) : none,
  };
}

/** What must leave and what must join for a device to have just the members it should. */
export function compareMembers(
  present: readonly Member[],
  wanted: readonly Member[],
): { leave: Member[]; join: Member[] } {
  if (present.length === 0) return { leave: [], join: [...wanted] };
  if (wanted.length === 0) return { leave: [...present], join: [] };
  const find = finder(present);
  const leave = new Set(present);
  const join: Member[] = [];
  for (const member of wanted) {
    const known = find(member);
    if (known && alike(known, member)) leave.delete(known);
    // An element's data cannot be changed: the old one leaves in the same transaction.
    else join.push(member);
  }
  return { leave: [...leave], join };
}

/** Up to so many members are looked through one by one, which takes less than an index of them; nearly all have fewer. */
const FEW = 24;

function finder(members: readonly Member[]): (member: Member) => Member | undefined {
  if (members.length <= FEW) {
    return ({ set, key }) => members.find((one) => one.set === set && equalBytes(one.key, key));
  }
  const byKey = new Map(members.map((member) => [memberKey(member), member]));
  return (member) => byKey.get(memberKey(member));
}

function alike(a: Member, b: Member): boolean {
  return (
    equalBytes(a.data ?? NOTHING, b.data ?? NOTHING) &&
    // What an element keeps of its device.
    (a.set !== DEVICE_POLICY || equalBytes(a.userdata ?? NOTHING, b.userdata ?? NOTHING)) &&
    equalBytes(a.expression?.data ?? NOTHING, b.expression?.data ?? NOTHING)
  );
}

const NOTHING = new Uint8Array();

/** True when nothing has to be done. */
export function isInPlace(device: Device, target: Target, directions: readonly number[]): boolean {
  const hooks = directions.every((direction) => device.hooks.get(direction) === target.hook);
  if (!hooks) return false;
  const tables =
    target.keepsTables || (target.program ? hasProgram(device, target.program) : device.tables.length === 0);
  if (!tables) return false;
  if (device.admission.isSame(target.admission)) return true;
  // A device that is new: comparing would make the list of all that it is to have.
  if (device.admission.isEmpty !== target.admission.isEmpty) return false;
  const { leave, join } = compareMembers(device.admission.members, target.admission.members);
  return leave.length === 0 && join.length === 0;
}
