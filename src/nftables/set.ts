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
  NFTA_SET_COUNT,
  NFTA_SET_DATA_LEN,
  NFTA_SET_DATA_TYPE,
  NFTA_SET_DESC,
  NFTA_SET_EXPR,
  NFTA_SET_EXPRESSIONS,
  NFTA_SET_FLAGS,
  NFTA_SET_GC_INTERVAL,
  NFTA_SET_HANDLE,
  NFTA_SET_ID,
  NFTA_SET_KEY_LEN,
  NFTA_SET_KEY_TYPE,
  NFTA_SET_NAME,
  NFTA_SET_OBJ_TYPE,
  NFTA_SET_POLICY,
  NFTA_SET_TABLE,
  NFTA_SET_TIMEOUT,
  NFTA_SET_TYPE,
  NFTA_SET_USERDATA,
} from './constants.js';
import { type Expression, expressionSchema } from './rule.js';

/** A set or a map, named or anonymous. */
export interface SetDefinition extends WithOther {
  table: string;
  name: string;
  handle?: bigint;
  /** NFT_SET_*. */
  flags?: number;
  /** nft's own number for the type; the kernel only keeps it. */
  keyType?: number;
  /** Bytes. */
  keyLength?: number;
  dataType?: number;
  dataLength?: number;
  /** NFT_OBJECT_*, for a map to named objects. */
  objectType?: number;
  /** Milliseconds. */
  timeout?: bigint;
  /** Milliseconds. */
  gcInterval?: number;
  /** NFT_SET_POL_*. */
  policy?: number;
  userdata?: Uint8Array;
  /** Size and the lengths of concatenated fields. */
  description?: Uint8Array;
  expression?: Expression;
  expressions?: Expression[];
  /** What names the set inside one transaction; never sent by the kernel. */
  id?: number;
  /** The kernel's choice of data structure, and the number of elements (6.17). Only ever sent by the kernel. */
  backend?: Uint8Array;
  count?: number;
}

export const setSchema = schema<SetDefinition>(
  'set',
  {
    table: textField(NFTA_SET_TABLE),
    name: textField(NFTA_SET_NAME),
    handle: be64Field(NFTA_SET_HANDLE),
    flags: be32Field(NFTA_SET_FLAGS),
    keyType: be32Field(NFTA_SET_KEY_TYPE),
    keyLength: be32Field(NFTA_SET_KEY_LEN),
    dataType: be32Field(NFTA_SET_DATA_TYPE),
    dataLength: be32Field(NFTA_SET_DATA_LEN),
    objectType: be32Field(NFTA_SET_OBJ_TYPE),
    timeout: be64Field(NFTA_SET_TIMEOUT),
    gcInterval: be32Field(NFTA_SET_GC_INTERVAL),
    policy: be32Field(NFTA_SET_POLICY),
    userdata: bytesField(NFTA_SET_USERDATA),
    description: bytesField(NFTA_SET_DESC),
    backend: bytesField(NFTA_SET_TYPE),
    count: be32Field(NFTA_SET_COUNT),
    expression: nestedField(NFTA_SET_EXPR, expressionSchema),
    expressions: listField(NFTA_SET_EXPRESSIONS, NFTA_LIST_ELEM, expressionSchema),
    id: be32Field(NFTA_SET_ID),
  },
  ['table', 'name'],
);
