import { eachAttribute } from '../netlink/attribute.js';
import { copyBytes, viewOf } from '../netlink/bytes.js';
import type { Message } from '../netlink/message.js';
import {
  be32Field,
  be64Field,
  bytesField,
  listField,
  nestedField,
  schema,
  textField,
  type WithOther,
} from '../netlink/schema.js';
import {
  NFT_MSG_NEWSETELEM,
  NFTA_DATA_VALUE,
  NFTA_LIST_ELEM,
  NFTA_SET_ELEM_DATA,
  NFTA_SET_ELEM_EXPIRATION,
  NFTA_SET_ELEM_EXPR,
  NFTA_SET_ELEM_EXPRESSIONS,
  NFTA_SET_ELEM_FLAGS,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_KEY_END,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_ELEM_LIST_SET_ID,
  NFTA_SET_ELEM_LIST_TABLE,
  NFTA_SET_ELEM_OBJREF,
  NFTA_SET_ELEM_TIMEOUT,
  NFTA_SET_ELEM_USERDATA,
} from './constants.js';
import { parseNftablesMessage } from './message.js';
import { type Expression, expressionSchema } from './rule.js';

/** One element of a set or map. Keys and data are encoded nft_data attributes, carried as they are. */
export interface SetElement extends WithOther {
  /** Absent for the catch-all element `*`. */
  key?: Uint8Array;
  keyEnd?: Uint8Array;
  data?: Uint8Array;
  expression?: Expression;
  expressions?: Expression[];
  /** The named object that the element of an object map points at. */
  object?: string;
  /** NFT_SET_ELEM_*. */
  flags?: number;
  /** Milliseconds. */
  timeout?: bigint;
  /** Milliseconds left when the kernel was asked. */
  expiration?: bigint;
  userdata?: Uint8Array;
}

/** What is read of elements that come by the ten thousand: the values of key and data, without their nft_data. */
export class ElementValues {
  readonly set: string;
  readonly key: Uint8Array;
  /** Undefined where there is none, or a verdict. */
  readonly data: Uint8Array | undefined;
  readonly userdata: Uint8Array | undefined;
  readonly #expression: Uint8Array | undefined;

  constructor(
    set: string,
    key: Uint8Array,
    data: Uint8Array | undefined,
    expression: Uint8Array | undefined,
    userdata: Uint8Array | undefined,
  ) {
    this.set = set;
    this.key = key;
    this.data = data;
    this.userdata = userdata;
    this.#expression = expression;
  }

  /** Decoded when it is asked for: of a counter, hardly ever. */
  get expression(): Expression | undefined {
    return this.#expression && expressionSchema.parse(this.#expression);
  }
}

/**
 * Visits each element in the dump of a set: the attributes of a message, the same as a view, and where in them the
 * attributes of the element begin and end.
 * @throws TapwallError MALFORMED_MESSAGE
 */
export function eachElement(
  messages: readonly Message[],
  visit: (attributes: Uint8Array, view: DataView, start: number, end: number) => void,
): void {
  for (const message of messages) {
    const parsed = parseNftablesMessage(message);
    if (parsed?.operation !== NFT_MSG_NEWSETELEM) continue;
    const { attributes } = parsed;
    const view = viewOf(attributes);
    eachAttribute(view, 0, attributes.length, (type, start, end) => {
      if (type !== NFTA_SET_ELEM_LIST_ELEMENTS) return;
      eachAttribute(view, start, end, (_, from, to) => visit(attributes, view, from, to));
    });
  }
}

/**
 * The elements in the dump of a set, those without a key left out.
 * @throws TapwallError MALFORMED_MESSAGE
 */
export function readElementValues(set: string, messages: readonly Message[]): ElementValues[] {
  const elements: ElementValues[] = [];
  eachElement(messages, (attributes, view, start, end) => {
    const element = readValues(set, attributes, view, start, end);
    if (element) elements.push(element);
  });
  return elements;
}

function readValues(
  set: string,
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
): ElementValues | undefined {
  let key: Uint8Array | undefined;
  let data: Uint8Array | undefined;
  let expression: Uint8Array | undefined;
  let userdata: Uint8Array | undefined;
  eachAttribute(view, start, end, (type, from, to) => {
    switch (type) {
      case NFTA_SET_ELEM_KEY:
        key = valueIn(bytes, view, from, to);
        break;
      case NFTA_SET_ELEM_DATA:
        data = valueIn(bytes, view, from, to);
        break;
      case NFTA_SET_ELEM_EXPR:
        expression = copyBytes(bytes.subarray(from, to));
        break;
      case NFTA_SET_ELEM_USERDATA:
        userdata = copyBytes(bytes.subarray(from, to));
        break;
    }
  });
  return key && new ElementValues(set, key, data, expression, userdata);
}

/** The plain value in an nft_data. A copy, so that the dump can be let go. */
function valueIn(bytes: Uint8Array, view: DataView, start: number, end: number): Uint8Array | undefined {
  let value: Uint8Array | undefined;
  eachAttribute(view, start, end, (type, from, to) => {
    if (type === NFTA_DATA_VALUE) value = copyBytes(bytes.subarray(from, to));
  });
  return value;
}

export const elementSchema = schema<SetElement>('set element', {
  key: bytesField(NFTA_SET_ELEM_KEY),
  keyEnd: bytesField(NFTA_SET_ELEM_KEY_END),
  data: bytesField(NFTA_SET_ELEM_DATA),
  expression: nestedField(NFTA_SET_ELEM_EXPR, expressionSchema),
  expressions: listField(NFTA_SET_ELEM_EXPRESSIONS, NFTA_LIST_ELEM, expressionSchema),
  object: textField(NFTA_SET_ELEM_OBJREF),
  flags: be32Field(NFTA_SET_ELEM_FLAGS),
  timeout: be64Field(NFTA_SET_ELEM_TIMEOUT),
  expiration: be64Field(NFTA_SET_ELEM_EXPIRATION),
  userdata: bytesField(NFTA_SET_ELEM_USERDATA),
});

/** What one NEWSETELEM message holds: elements of one set. */
export interface ElementList extends WithOther {
  table: string;
  set: string;
  setId?: number;
  elements?: SetElement[];
}

export const elementListSchema = schema<ElementList>(
  'set element list',
  {
    table: textField(NFTA_SET_ELEM_LIST_TABLE),
    set: textField(NFTA_SET_ELEM_LIST_SET),
    setId: be32Field(NFTA_SET_ELEM_LIST_SET_ID),
    elements: listField(NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_LIST_ELEM, elementSchema, { numbered: true }),
  },
  ['table', 'set'],
);
