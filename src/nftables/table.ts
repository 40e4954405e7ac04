import { be32Field, be64Field, bytesField, schema, textField, type WithOther } from '../netlink/schema.js';
import {
  NFTA_TABLE_FLAGS,
  NFTA_TABLE_HANDLE,
  NFTA_TABLE_NAME,
  NFTA_TABLE_OWNER,
  NFTA_TABLE_USE,
  NFTA_TABLE_USERDATA,
} from './constants.js';

export interface Table extends WithOther {
  name: string;
  /** NFT_TABLE_F_*. */
  flags?: number;
  /** How many chains, sets and objects it holds. Only ever sent by the kernel. */
  use?: number;
  /** Only ever sent by the kernel; a request may name a table by it. */
  handle?: bigint;
  userdata?: Uint8Array;
  /** The netlink port id of the socket that owns it (5.12). */
  owner?: number;
}

export const tableSchema = schema<Table>(
  'table',
  {
    name: textField(NFTA_TABLE_NAME),
    use: be32Field(NFTA_TABLE_USE),
    handle: be64Field(NFTA_TABLE_HANDLE),
    flags: be32Field(NFTA_TABLE_FLAGS),
    owner: be32Field(NFTA_TABLE_OWNER),
    userdata: bytesField(NFTA_TABLE_USERDATA),
  },
  ['name'],
);
