import { writeHost32 } from '../netlink/bytes.js';
import type { Segment } from '../nftables/transaction.js';
import { encodeAssignedMac, MAC_TEXT_AT } from './assigned-mac.js';
import { keyPlace, type Member, memberSegment, userdataPlace } from './member.js';

/** What a key holds behind the device's index: its MAC, the address it makes of that, or one of its addresses. */
export type KeySource = 'mac' | 'link-local' | number;

/** A member, but for what only the device knows. */
export interface MemberPattern extends Pick<Member, 'set' | 'data' | 'expression'> {
  /** Absent where the key is the index alone. */
  rest?: { source: KeySource; length: number } | undefined;
  /** Whether the element keeps the device's MAC as user data. */
  keepsMac?: boolean;
}

/** What goes into the places of a template. */
export interface MemberFacts {
  index: number;
  /** As `52:54:00:aa:bb:cc`. */
  macText: string;
  /** The same, six bytes. */
  mac: Uint8Array;
  addresses: readonly { bytes: Uint8Array }[];
}

const BLANK_MAC = '00:00:00:00:00:00';

/** The length of a MAC, as text, that has a place in a template. */
export const MAC_TEXT_LENGTH = BLANK_MAC.length;

const INDEX_LENGTH = 4;

/** Messages with places for what differs from device to device. */
class Form {
  readonly #segment: Segment;
  readonly #indexes: number[] = [];
  readonly #macs: number[] = [];
  readonly #linkLocals: number[] = [];
  readonly #addresses: { at: number; source: number }[] = [];
  readonly #macTexts: number[] = [];

  constructor(kind: 'join' | 'leave', patterns: readonly MemberPattern[]) {
    const members = patterns.map(blankMember);
    this.#segment = memberSegment(kind, members);
    patterns.forEach(({ rest, keepsMac }, number) => {
      const member = members[number];
      if (!member) return;
      const start = this.#segment.starts[number] ?? 0;
      const key = start + keyPlace(kind, member);
      this.#indexes.push(key);
      if (rest) this.#note(rest.source, key + INDEX_LENGTH);
      if (keepsMac && kind === 'join') this.#macTexts.push(start + userdataPlace(member) + MAC_TEXT_AT);
    });
  }

  #note(source: KeySource, at: number): void {
    if (source === 'mac') this.#macs.push(at);
    else if (source === 'link-local') this.#linkLocals.push(at);
    else this.#addresses.push({ at, source });
  }

  fill(facts: MemberFacts): Segment {
    const { bytes, starts, labels } = this.#segment;
    return { bytes, starts, labels, patch: (target, start) => this.#write(target, start, facts) };
  }

  /** By hand, byte by byte: a device that appears waits for it, and each call into C++ would take longer. */
  #write(target: Uint8Array, start: number, { index, mac, macText, addresses }: MemberFacts): void {
    for (const at of this.#indexes) writeHost32(target, start + at, index);
    for (const at of this.#macs) copy(mac, target, start + at);
    for (const at of this.#linkLocals) writeInterfaceId(target, start + at, mac);
    for (const { at, source } of this.#addresses) {
      const address = addresses[source];
      if (address) copy(address.bytes, target, start + at);
    }
    for (const at of this.#macTexts) {
      for (let digit = 0; digit < MAC_TEXT_LENGTH; digit++) {
        target[start + at + digit] = macText.charCodeAt(digit);
      }
    }
  }
}

/** The messages by which devices of one policy, with as many addresses of the same kinds, join its sets and leave them. */
export class MemberTemplate {
  readonly #join: Form;
  readonly #leave: Form;

  constructor(patterns: readonly MemberPattern[]) {
    this.#join = new Form('join', patterns);
    this.#leave = new Form('leave', patterns);
  }

  join(facts: MemberFacts): Segment {
    return this.#join.fill(facts);
  }

  leave(facts: MemberFacts): Segment {
    return this.#leave.fill(facts);
  }
}

function blankMember({ set, data, expression, rest, keepsMac = false }: MemberPattern): Member {
  const key = new Uint8Array(INDEX_LENGTH + (rest?.length ?? 0));
  // What is the same in every link-local address that comes of a MAC.
  if (rest?.source === 'link-local') key.set(INTERFACE_ID_FRAME, INDEX_LENGTH);
  return { set, key, data, expression, userdata: keepsMac ? encodeAssignedMac(BLANK_MAC) : undefined };
}

/** fe80::/64 and, in the middle of the interface identifier, ff:fe (RFC 4291, appendix A). */
const INTERFACE_ID_FRAME = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0);

function writeInterfaceId(target: Uint8Array, at: number, mac: Uint8Array): void {
  target[at + 8] = (mac[0] ?? 0) ^ 0x02;
  for (let byte = 1; byte < 3; byte++) target[at + 8 + byte] = mac[byte] ?? 0;
  for (let byte = 3; byte < 6; byte++) target[at + 10 + byte] = mac[byte] ?? 0;
}

function copy(source: Uint8Array, target: Uint8Array, at: number): void {
  for (let byte = 0; byte < source.length; byte++) target[at + byte] = source[byte] ?? 0;
}
