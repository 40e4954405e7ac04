import type { Element } from '@xmldom/xmldom';
import { readAddress } from '../config/address.js';
import type { AssignedAddress } from '../config/configuration.js';
import { normaliseMac } from '../config/mac-address.js';
import { TapwallError } from '../error.js';
import { attributeOf, childrenOf, firstChild, textOf } from './element.js';

/** The namespace of tapwall's elements in a domain's `<metadata>`. */
export const METADATA_NAMESPACE = 'urn:tapwall:libvirt:1';

/** A policy that a guest's own definition asks for. */
export interface PolicyChoice {
  policy: string;
  addresses: readonly AssignedAddress[];
  /** Where it stands, for messages. */
  from: 'metadata' | 'filterref';
}

/**
 * What tapwall's element in the metadata says. The result gives each interface its choice: what is said of its MAC, else
 * what its own `<filterref>` says, else what is said of the whole guest.
 * @throws TapwallError DOMAIN for what cannot be meant.
 */
export function guestChoice(
  metadata: Element | undefined,
): (mac: string, own: PolicyChoice | undefined) => PolicyChoice | undefined {
  const guest = firstChild(metadata, 'guest', METADATA_NAMESPACE);
  if (!guest) return (_mac, own) => own;
  const ofAll = readChoice(guest);
  const byMac = new Map<string, PolicyChoice | undefined>();
  for (const element of childrenOf(guest, 'interface', METADATA_NAMESPACE)) {
    const mac = normaliseMac(attributeOf(element, 'mac') ?? '');
    if (mac === undefined) throw flaw('an <interface> in the metadata of tapwall has no `mac`');
    if (byMac.has(mac)) throw flaw(`two <interface> in the metadata of tapwall are for ${mac}`);
    byMac.set(mac, readChoice(element, mac));
  }
  return (mac, own) => byMac.get(mac) ?? own ?? ofAll;
}

/** The choice in an element of tapwall's: a policy and addresses, or a `<filterref>` as libvirt has it. */
function readChoice(parent: Element, mac?: string): PolicyChoice | undefined {
  const policies = childrenOf(parent, 'policy', METADATA_NAMESPACE);
  const filterrefs = childrenOf(parent, 'filterref', METADATA_NAMESPACE);
  const addresses = childrenOf(parent, 'address', METADATA_NAMESPACE).map((one) =>
    address(textOf(one) ?? ''),
  );
  if (policies.length + filterrefs.length > 1)
    throw flaw('the metadata of tapwall names more than one policy');
  const [filterref] = filterrefs;
  if (filterref) {
    if (addresses.length > 0) throw flaw('addresses beside a <filterref> belong into its parameters');
    return { ...readFilterref(filterref, mac, METADATA_NAMESPACE), from: 'metadata' };
  }
  const policy = textOf(policies[0]);
  if (policy) return { policy, addresses, from: 'metadata' };
  if (policies.length > 0 || addresses.length > 0) throw flaw('the metadata of tapwall names no policy');
  return undefined;
}

/**
 * A `<filterref>` as libvirt's documentation has it. The filter is the policy of that name; the parameters IP and IPV6 are
 * the guest's addresses.
 */
export function readFilterref(
  element: Element,
  mac: string | undefined,
  namespace: string | null = null,
): PolicyChoice {
  const policy = attributeOf(element, 'filter');
  if (!policy) throw flaw('a <filterref> names no filter');
  const addresses: AssignedAddress[] = [];
  for (const parameter of childrenOf(element, 'parameter', namespace)) {
    const name = attributeOf(parameter, 'name') ?? '';
    const value = attributeOf(parameter, 'value') ?? '';
    if (name === 'IP' || name === 'IPV6') addresses.push(address(value));
    else if (name === 'MAC') checkMac(value, mac);
    else if (!(name === 'CTRL_IP_LEARNING' && value === 'none')) {
      throw flaw(
        `the parameter ${name} of the <filterref> to ${policy} cannot be enforced`,
        'tapwall knows IP, IPV6 and MAC. It learns no addresses from the traffic: name them.',
      );
    }
  }
  return { policy, addresses, from: 'filterref' };
}

function checkMac(value: string, mac: string | undefined): void {
  if (mac === undefined || normaliseMac(value) === mac) return;
  throw flaw(`the MAC of a <filterref>, ${value}, is not that of its interface, ${mac}`);
}

function address(text: string): AssignedAddress {
  const read = readAddress(text.trim());
  if ('flaw' in read) throw flaw(read.flaw, read.hint);
  return read;
}

function flaw(message: string, hint?: string): TapwallError {
  return new TapwallError('DOMAIN', message, hint === undefined ? {} : { hint });
}
