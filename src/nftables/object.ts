import { be32Field, be64Field, bytesField, schema, textField, type WithOther } from '../netlink/schema.js';
import {
  NFTA_OBJ_DATA,
  NFTA_OBJ_HANDLE,
  NFTA_OBJ_NAME,
  NFTA_OBJ_TABLE,
  NFTA_OBJ_TYPE,
  NFTA_OBJ_USE,
  NFTA_OBJ_USERDATA,
} from './constants.js';

/** A named object: a counter, quota or limit that several rules share. */
export interface NamedObject extends WithOther {
  table: string;
  name: string;
  /** NFT_OBJECT_*. */
  type: number;
  use?: number;
  /** Encoded attributes of its kind. */
  data?: Uint8Array;
  handle?: bigint;
  userdata?: Uint8Array;
}

export const objectSchema = schema<NamedObject>(
  'named object',
  {
    table: textField(NFTA_OBJ_TABLE),
    name: textField(NFTA_OBJ_NAME),
    type: be32Field(NFTA_OBJ_TYPE),
    handle: be64Field(NFTA_OBJ_HANDLE),
    use: be32Field(NFTA_OBJ_USE),
    data: bytesField(NFTA_OBJ_DATA),
    userdata: bytesField(NFTA_OBJ_USERDATA),
  },
  ['table', 'name', 'type'],
);
