import type { AssignedAddress } from '../config/configuration.js';
import { isRepeated, parseAssignedMac } from '../policy/fact.js';
import { DEVICE_POLICY, memberPatterns, membersOf, type PolicyMembership } from '../policy/membership.js';
import { type Admission, ListedAdmission, TemplateAdmission } from '../program/admission.js';
import type { Member } from '../program/member.js';
import { MAC_TEXT_LENGTH, MemberTemplate } from '../program/member-template.js';
import { encodeDeviceRecord, type ToldFacts } from '../program/told-facts.js';

interface AdmittedDevice {
  index: number;
  /** As text; empty for none. */
  mac: string;
  addresses: readonly AssignedAddress[];
  /** What its element keeps of it for the next agent. */
  told?: ToldFacts | undefined;
}

/** Templates by policy, then by the shape of the addresses. They go away together with the plan. */
const templates = new WeakMap<PolicyMembership, Map<string, MemberTemplate>>();
/** The shape of each list of addresses, which a binding has for as long as it lives; null where there is none. */
const shapes = new WeakMap<readonly AssignedAddress[], string | null>();

/** What admits a device to a policy. */
export function admit(policy: PolicyMembership, device: AdmittedDevice): Admission {
  if (device.told) return new ListedAdmission(listMembers(policy, device));
  const shape = shapeOf(device.addresses);
  const mac = device.mac.length === MAC_TEXT_LENGTH ? parseAssignedMac(device.mac) : undefined;
  if (shape === null || !mac) return new ListedAdmission(listMembers(policy, device));
  const { index, mac: macText, addresses } = device;
  const facts = { index, mac, macText, addresses };
  return new TemplateAdmission(templateFor(policy, shape, addresses), facts, () =>
    listMembers(policy, device),
  );
}

function listMembers(policy: PolicyMembership, device: AdmittedDevice): Member[] {
  const userdata = encodeDeviceRecord(device.mac, device.told);
  return membersOf({ ...device, policy }).map((member) =>
    member.set === DEVICE_POLICY ? { ...member, userdata } : member,
  );
}

function templateFor(
  policy: PolicyMembership,
  shape: string,
  addresses: readonly AssignedAddress[],
): MemberTemplate {
  let known = templates.get(policy);
  if (!known) {
    known = new Map();
    templates.set(policy, known);
  }
  let template = known.get(shape);
  if (!template) {
    template = new MemberTemplate(memberPatterns(policy, addresses));
    known.set(shape, template);
  }
  return template;
}

/** What the elements of two lists of addresses have in common: families and lengths, in order. */
function shapeOf(addresses: readonly AssignedAddress[]): string | null {
  let shape = shapes.get(addresses);
  if (shape === undefined) {
    // One may be the address that the device makes of its MAC, whose element must not be there twice.
    const isSimple = addresses.every((address, at) => !isLinkLocal(address) && !isRepeated(addresses, at));
    shape = isSimple
      ? addresses.map(({ family, prefixLength }) => `${family}/${prefixLength}`).join(' ')
      : null;
    shapes.set(addresses, shape);
  }
  return shape;
}

/** fe80::/10 (RFC 4291, section 2.4). */
function isLinkLocal({ family, bytes: [first = 0, second = 0] }: AssignedAddress): boolean {
  return family === 6 && first === 0xfe && (second & 0xc0) === 0x80;
}
