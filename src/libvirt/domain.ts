import { DOMParser, type Element } from '@xmldom/xmldom';
import { normaliseMac } from '../config/mac-address.js';
import { normaliseUuid } from '../config/uuid.js';
import { TapwallError } from '../error.js';
import { guestChoice, type PolicyChoice, readFilterref } from './choice.js';
import { attributeOf, childrenOf, firstChild, textOf } from './element.js';
import { LARGEST_DOMAIN_BYTES } from './operation.js';

/** A guest as libvirt's domain XML describes it, as far as its devices need it. */
export interface Domain {
  name: string;
  /** Small letters. */
  uuid: string;
  /** Those on macvtap devices, in the order of the XML. */
  interfaces: readonly DomainInterface[];
}

export interface DomainInterface {
  /** The macvtap device; undefined where libvirt has not made it yet. */
  device: string | undefined;
  /** Small letters. */
  mac: string;
  /** The link it stands on. */
  parent: string | undefined;
  /** What libvirt calls the interface: `net0`. */
  alias: string | undefined;
  /** What the definition says of its policy. */
  choice: PolicyChoice | undefined;
}

/**
 * Reads a domain's XML as libvirt gives it to its hooks. What is not about macvtap devices is passed over.
 * @throws TapwallError DOMAIN when it is no such thing, or what it says of policies cannot be meant.
 */
export function parseDomain(xml: string): Domain {
  if (Buffer.byteLength(xml) > LARGEST_DOMAIN_BYTES) throw flaw('it is larger than 512 KiB');
  return readDomain(rootOf(xml, 'domain'));
}

/**
 * Reads the state of a domain that runs, as libvirt keeps it for itself: its XML as it is now, and more around it.
 * @throws TapwallError DOMAIN
 */
export function parseState(xml: string): Domain {
  if (Buffer.byteLength(xml) > LARGEST_STATE_BYTES) throw flaw('it is larger than 4 MiB');
  const domain = firstChild(rootOf(xml, 'domstatus'), 'domain');
  if (!domain) throw flaw('it has no <domain>');
  return readDomain(domain);
}

/** libvirt keeps more in it than in the XML, a list of the processor's features and of jobs among it. */
const LARGEST_STATE_BYTES = 4 << 20;

function readDomain(root: Element): Domain {
  const name = textOf(firstChild(root, 'name'));
  if (!name) throw flaw('it has no <name>');
  const uuid = normaliseUuid(textOf(firstChild(root, 'uuid')) ?? '');
  if (uuid === undefined) throw flaw('it has no <uuid>');
  const chosen = guestChoice(firstChild(root, 'metadata'));
  const devices = firstChild(root, 'devices');
  const interfaces = (devices ? childrenOf(devices, 'interface') : [])
    .filter((element) => attributeOf(actualOf(element), 'type') === 'direct')
    .map((element) => readInterface(element, chosen));
  return { name, uuid, interfaces };
}

/** What an interface of a network came to: in a state it stands beside what the definition says. */
function actualOf(element: Element): Element {
  return firstChild(element, 'actual') ?? element;
}

function rootOf(xml: string, name: string): Element {
  // A document type could declare entities, and libvirt writes none.
  if (/<!DOCTYPE/i.test(xml)) throw flaw('it has a document type');
  let root: Element | null;
  try {
    const stop = (_level: string, message: string) => {
      throw new Error(message);
    };
    root = new DOMParser({ onError: stop }).parseFromString(xml, 'text/xml').documentElement;
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw flaw(`it is not well-formed XML: ${reason}`);
  }
  if (!root) throw flaw('it is empty');
  if (root.localName !== name || root.namespaceURI) throw flaw(`its root is <${root.nodeName}>`);
  return root;
}

function readInterface(
  element: Element,
  chosen: (mac: string, own: PolicyChoice | undefined) => PolicyChoice | undefined,
): DomainInterface {
  const mac = normaliseMac(attributeOf(firstChild(element, 'mac'), 'address') ?? '');
  if (mac === undefined) throw flaw('an <interface type="direct"> has no MAC');
  const filterref = firstChild(element, 'filterref');
  return {
    device: attributeOf(firstChild(element, 'target'), 'dev'),
    mac,
    parent: attributeOf(firstChild(actualOf(element), 'source'), 'dev'),
    alias: attributeOf(firstChild(element, 'alias'), 'name'),
    choice: chosen(mac, filterref && readFilterref(filterref, mac)),
  };
}

function flaw(reason: string): TapwallError {
  return new TapwallError('DOMAIN', `this is no domain XML of libvirt's: ${reason}`);
}
