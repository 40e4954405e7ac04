import type { Link } from '../links/link.js';
import { encodeTransaction } from '../nftables/transaction.js';
import { changeSegments, planChange } from '../program/change.js';
import { type Description, describeBatch } from '../program/describe.js';
import { newDevice } from './device.js';
import type { Plan } from './plan.js';
import { Roster } from './roster.js';
import { planStep } from './step.js';
import { targetOf } from './target.js';

/** What a policy puts into the kernel: once, and for one device. */
export interface Admission {
  shared: Description['messages'];
  messages: Description['messages'];
}

/** Says what would be sent for a device that has just appeared where nothing of tapwall is. */
export function describeAdmission(
  plan: Plan,
  { name, index, mac }: { name: string; index: number; mac: string },
  policy: string,
): Admission {
  const link: Link = {
    name,
    index,
    mac,
    up: false,
    kind: 'macvtap',
    alias: undefined,
    parentIndex: undefined,
    parentElsewhere: false,
  };
  const device = newDevice(link);
  const binding = plan.bindings.find((one) => one.policy === policy);
  const location = { file: plan.file, line: 1, column: 1 };
  const target = targetOf(plan, device, binding ?? { policy, location });
  // The links that rules name are looked up when the table is made; here their place is shown.
  const links = new Map([...plan.blueprint.links, ...(target.program?.links ?? [])].map((one) => [one, 0]));
  const change = planChange(undefined, plan.blueprint);
  const step = planStep(plan, device, target, { links, roster: new Roster() });
  return {
    shared: describeBatch(encodeTransaction(changeSegments(change, links), 1)),
    messages: describeBatch(encodeTransaction([...step.segments, ...step.late], 1)),
  };
}
