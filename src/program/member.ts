import { type Attribute, attributeSize, leaf } from '../netlink/attribute.js';
import { cString, host32, writeHost32 } from '../netlink/bytes.js';
import { ATTRIBUTE_HEADER_LENGTH, MESSAGE_HEADER_LENGTH, NLM_F_CREATE } from '../netlink/constants.js';
import { encodeRequest } from '../netlink/message.js';
import {
  NFT_MSG_DELSETELEM,
  NFT_MSG_DESTROYSETELEM,
  NFT_MSG_NEWSETELEM,
  NFTA_DATA_VALUE,
  NFTA_LIST_ELEM,
  NFTA_SET_ELEM_DATA,
  NFTA_SET_ELEM_EXPR,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_ELEM_LIST_TABLE,
  NFTA_SET_ELEM_USERDATA,
} from '../nftables/constants.js';
import { NFGENMSG_LENGTH, nftablesRequest } from '../nftables/message.js';
import { type Expression, expressionSchema } from '../nftables/rule.js';
import type { Segment } from '../nftables/transaction.js';
import { SHARED_TABLE } from './blueprint.js';

/** One element by which a device is a member of a set: which policy it has, an address that is its own. */
export interface Member {
  set: string;
  /** As nft writes it: an index in host order, each field of a concatenation padded to four bytes. */
  key: Uint8Array;
  /** Of a map. */
  data?: Uint8Array | undefined;
  /** A limit of its own. */
  expression?: Expression | undefined;
  /** What the kernel keeps for whoever reads the element. */
  userdata?: Uint8Array | undefined;
}

const OPERATIONS = {
  join: { operation: NFT_MSG_NEWSETELEM, flags: NLM_F_CREATE, word: 'NEWSETELEM' },
  leave: { operation: NFT_MSG_DELSETELEM, flags: 0, word: 'DELSETELEM' },
  /** Is no error where there is no such element (6.3). */
  destroy: { operation: NFT_MSG_DESTROYSETELEM, flags: 0, word: 'DESTROYSETELEM' },
} as const;

export type MemberOperation = keyof typeof OPERATIONS;

function encode(kind: MemberOperation, { set, key, data, expression, userdata }: Member): Uint8Array {
  const { operation, flags } = OPERATIONS[kind];
  const element: Attribute[] = [nestOf(NFTA_SET_ELEM_KEY, leaf(NFTA_DATA_VALUE, key))];
  if (data) element.push(nestOf(NFTA_SET_ELEM_DATA, leaf(NFTA_DATA_VALUE, data)));
  if (expression) {
    element.push({ type: NFTA_SET_ELEM_EXPR, flags: 0, nested: expressionSchema.encode(expression) });
  }
  if (userdata) element.push(leaf(NFTA_SET_ELEM_USERDATA, userdata));
  const attributes = [
    leaf(NFTA_SET_ELEM_LIST_TABLE, cString(SHARED_TABLE)),
    leaf(NFTA_SET_ELEM_LIST_SET, cString(set)),
    nestOf(NFTA_SET_ELEM_LIST_ELEMENTS, { type: NFTA_LIST_ELEM, flags: 0, nested: element }),
  ];
  return encodeRequest(nftablesRequest(operation, flags, attributes), 0);
}

function nestOf(type: number, inner: Attribute): Attribute {
  return { type, flags: 0, nested: [inner] };
}

/** The lengths that decide how a message is laid out. */
interface Form {
  key: number;
  data: number;
  userdata: number;
}

/** A message whose key, data and user data are still to be written. */
interface Template {
  bytes: Uint8Array;
  form: Form;
  keyAt: number;
  dataAt: number;
  userdataAt: number;
  label: string;
}

/** By set; for each operation and form. A host has a few dozen. */
const templates = {
  join: new Map<string, Template[]>(),
  leave: new Map<string, Template[]>(),
  destroy: new Map<string, Template[]>(),
} satisfies Record<MemberOperation, unknown>;

function templateFor(kind: MemberOperation, { set, key, data, userdata }: Member): Template {
  let known = templates[kind].get(set);
  if (!known) {
    known = [];
    templates[kind].set(set, known);
  }
  // An element leaves by its key alone.
  const joins = kind === 'join';
  const dataLength = joins && data ? data.length : 0;
  const userdataLength = joins && userdata ? userdata.length : 0;
  for (const one of known) {
    const { form } = one;
    if (form.key === key.length && form.data === dataLength && form.userdata === userdataLength) return one;
  }
  const template = makeTemplate(kind, set, { key: key.length, data: dataLength, userdata: userdataLength });
  known.push(template);
  return template;
}

function makeTemplate(kind: MemberOperation, set: string, form: Form): Template {
  const blank = (length: number) => (length > 0 ? new Uint8Array(length) : undefined);
  const key = new Uint8Array(form.key);
  const data = blank(form.data);
  const keyAt =
    MESSAGE_HEADER_LENGTH +
    NFGENMSG_LENGTH +
    attributeSize(leaf(0, cString(SHARED_TABLE))) +
    attributeSize(leaf(0, cString(set))) +
    4 * ATTRIBUTE_HEADER_LENGTH;
  const dataAt = keyAt + attributeSize(leaf(0, key)) + ATTRIBUTE_HEADER_LENGTH;
  const userdataAt = (data ? dataAt : keyAt) + attributeSize(leaf(0, data ?? key));
  const bytes = encode(kind, { set, key, data, userdata: blank(form.userdata) });
  return { bytes, form, keyAt, dataAt, userdataAt, label: `${OPERATIONS[kind].word} ${set}` };
}

/**
 * The messages by which a device joins sets or leaves them. A device that appears waits for these, so what does not
 * depend on it is kept ready as bytes.
 */
export function memberSegment(kind: MemberOperation, members: readonly Member[]): Segment {
  const starts: number[] = [];
  const labels: string[] = [];
  const parts: (Template | Uint8Array)[] = [];
  const joins = kind === 'join';
  let length = 0;
  for (const member of members) {
    const template = templateFor(kind, member);
    const ready = joins && member.expression ? encode(kind, member) : undefined;
    starts.push(length);
    labels.push(template.label);
    parts.push(ready ?? template);
    length += (ready ?? template.bytes).length;
  }
  const bytes = Buffer.allocUnsafe(length);
  let offset = 0;
  for (let at = 0; at < parts.length; at++) {
    const [part, member] = [parts[at], members[at]];
    if (!part || !member) continue;
    if (part instanceof Uint8Array) {
      bytes.set(part, offset);
      offset += part.length;
      continue;
    }
    bytes.set(part.bytes, offset);
    bytes.set(member.key, offset + part.keyAt);
    if (joins && member.data) bytes.set(member.data, offset + part.dataAt);
    if (joins && member.userdata) bytes.set(member.userdata, offset + part.userdataAt);
    offset += part.bytes.length;
  }
  return { bytes, starts, labels };
}

/** Where in its message a member's key begins. */
export function keyPlace(kind: MemberOperation, member: Member): number {
  return templateFor(kind, member).keyAt;
}

/** Where in the message by which it joins a member's user data begins; a member with an expression has none. */
export function userdataPlace(member: Member): number {
  return templateFor('join', member).userdataAt;
}

/** Segments for index 0, by the list of sets, which a plan has for as long as it lives. */
const indexSegments = {
  join: new WeakMap<readonly string[], Segment & { keysAt: readonly number[] }>(),
  leave: new WeakMap<readonly string[], Segment & { keysAt: readonly number[] }>(),
  destroy: new WeakMap<readonly string[], Segment & { keysAt: readonly number[] }>(),
} satisfies Record<MemberOperation, unknown>;

/** The same for many sets whose keys are the device's index and nothing else: its counters. */
export function indexSegment(kind: MemberOperation, sets: readonly string[], index: number): Segment {
  let blank = indexSegments[kind].get(sets);
  if (!blank) {
    const key = host32(0);
    const segment = memberSegment(
      kind,
      sets.map((set) => ({ set, key })),
    );
    const keysAt = sets.map((set, at) => (segment.starts[at] ?? 0) + templateFor(kind, { set, key }).keyAt);
    blank = { ...segment, keysAt };
    indexSegments[kind].set(sets, blank);
  }
  const bytes = Buffer.allocUnsafe(blank.bytes.length);
  bytes.set(blank.bytes);
  for (const at of blank.keysAt) writeHost32(bytes, at, index);
  return { bytes, starts: blank.starts, labels: blank.labels };
}

/** The element's name inside the table, for comparing what there is with what should be. */
export function memberKey({ set, key }: Pick<Member, 'set' | 'key'>): string {
  return `${set} ${Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')}`;
}
