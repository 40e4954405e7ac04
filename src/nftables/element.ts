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
