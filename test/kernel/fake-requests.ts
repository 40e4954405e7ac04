/** nf_tables requests for the tests of the fake kernel, with the bytes that went to the real one. */
import { type Attribute, encodeAttributes, leaf } from '#src/netlink/attribute.js';
import { be32, be64, cString } from '#src/netlink/bytes.js';
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '#src/netlink/constants.js';
import type { Request } from '#src/netlink/message.js';
import { type Chain, chainSchema, type HookDevice } from '#src/nftables/chain.js';
import * as nft from '#src/nftables/constants.js';
import { elementListSchema, type SetElement } from '#src/nftables/element.js';
import { nftablesRequest } from '#src/nftables/message.js';
import { objectSchema } from '#src/nftables/object.js';
import { type Expression, type Rule, ruleSchema } from '#src/nftables/rule.js';
import { type SetDefinition, setSchema } from '#src/nftables/set.js';
import { type Table, tableSchema } from '#src/nftables/table.js';

export const CREATE = NLM_F_CREATE;
export const EXCL = NLM_F_EXCL;
export const REPLACE = NLM_F_REPLACE;
export const APPEND = NLM_F_APPEND;

/** The type that nft gives to numbers, and bytes of one. */
const INTEGER = { keyType: 4, keyLength: 4 };
/** enum nft_data_attributes. */
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFT_OBJECT_COUNTER = 1;
/** What stands in the place of a data type in a verdict map. */
const NFT_DATA_VERDICT = 0xffffff00;
/** enum nft_verdicts. */
const NFT_JUMP = -3;
const NFT_GOTO = -4;
const NFT_REG_1 = 1;
const NFT_META_MARK = 3;
const NFT_SET_MAP = 0x8;

export function newTable(
  name: string,
  flags = 0,
  more: Partial<Table> = {},
  family = nft.NFPROTO_NETDEV,
): Request {
  return nftablesRequest(nft.NFT_MSG_NEWTABLE, flags, tableSchema.encode({ name, ...more }), family);
}

/** Without a name all tables of the family. */
export function deleteTable(name?: string, family = nft.NFPROTO_NETDEV): Request {
  const attributes = name === undefined ? [] : tableSchema.encode({ name });
  return nftablesRequest(nft.NFT_MSG_DELTABLE, 0, attributes, family);
}

export function deleteTableByHandle(handle: bigint): Request {
  return nftablesRequest(nft.NFT_MSG_DELTABLE, 0, [leaf(nft.NFTA_TABLE_HANDLE, be64(handle))]);
}

export function destroyTable(name: string): Request {
  return nftablesRequest(nft.NFT_MSG_DESTROYTABLE, 0, tableSchema.encode({ name }));
}

/** A message type that nf_tables does not have. */
export function unknown(): Request {
  return nftablesRequest(99, 0);
}

export type Devices = readonly (string | HookDevice)[];

export function base(devices: Devices, { number = nft.NF_NETDEV_INGRESS } = {}) {
  const hooked = devices.map((device) => (typeof device === 'string' ? { name: device } : device));
  return { type: 'filter', policy: nft.NF_DROP, hook: { number, priority: 0, devices: hooked } };
}

export function newChain(
  table: string,
  name: string | undefined,
  flags = 0,
  more: Partial<Chain> = {},
): Request {
  const chain: Chain = { table, ...(name === undefined ? {} : { name }), ...more };
  return nftablesRequest(nft.NFT_MSG_NEWCHAIN, flags, chainSchema.encode(chain));
}

export function deleteChain(table: string, name: string, more: Partial<Chain> = {}): Request {
  return nftablesRequest(nft.NFT_MSG_DELCHAIN, 0, chainSchema.encode({ table, name, ...more }));
}

export function newRule(
  table: string,
  chain: string,
  flags = CREATE | APPEND,
  more: Partial<Rule> = {},
): Request {
  return nftablesRequest(nft.NFT_MSG_NEWRULE, flags, ruleSchema.encode({ table, chain, ...more }));
}

export function deleteRule(table: string, chain?: string, handle?: bigint): Request {
  const attributes = ruleSchema.encode({
    table,
    chain: chain ?? '',
    ...(handle === undefined ? {} : { handle }),
  });
  return nftablesRequest(
    nft.NFT_MSG_DELRULE,
    0,
    attributes.filter(({ type }) => chain !== undefined || type !== nft.NFTA_RULE_CHAIN),
  );
}

export function newSet(
  table: string,
  name: string,
  flags = CREATE,
  more: Partial<SetDefinition> = {},
): Request {
  return nftablesRequest(
    nft.NFT_MSG_NEWSET,
    flags,
    setSchema.encode({ table, name, ...INTEGER, id: 1, ...more }),
  );
}

/** A map from numbers to numbers. */
export function newMap(table: string, name: string): Request {
  return newSet(table, name, CREATE, {
    flags: NFT_SET_MAP,
    dataType: INTEGER.keyType,
    dataLength: INTEGER.keyLength,
  });
}

export function deleteSet(table: string, name: string): Request {
  return nftablesRequest(nft.NFT_MSG_DELSET, 0, setSchema.encode({ table, name }));
}

const encodeValue = (value: number) => encodeAttributes([leaf(NFTA_DATA_VALUE, be32(value))]);

function elementList(
  operation: number,
  flags: number,
  [table, set]: [string, string],
  elements: SetElement[] | undefined,
  setId?: number,
): Request {
  const attributes = elementListSchema.encode({
    table,
    set,
    ...(setId === undefined ? {} : { setId }),
    ...(elements === undefined ? {} : { elements }),
  });
  return nftablesRequest(operation, flags, attributes);
}

export function newElements(
  table: string,
  set: string,
  keys?: number[],
  flags = CREATE,
  setId?: number,
): Request {
  const elements = keys?.map((key) => ({ key: encodeValue(key) }));
  return elementList(nft.NFT_MSG_NEWSETELEM, flags, [table, set], elements, setId);
}

export function newMapElement(table: string, set: string, key: number, data: number): Request {
  const element = { key: encodeValue(key), data: encodeValue(data) };
  return elementList(nft.NFT_MSG_NEWSETELEM, CREATE, [table, set], [element]);
}

export function deleteElements(table: string, set: string, keys?: number[]): Request {
  const elements = keys?.map((key) => ({ key: encodeValue(key) }));
  return elementList(nft.NFT_MSG_DELSETELEM, 0, [table, set], elements);
}

export function destroyElements(table: string, set: string, keys: number[]): Request {
  const elements = keys.map((key) => ({ key: encodeValue(key) }));
  return elementList(nft.NFT_MSG_DESTROYSETELEM, 0, [table, set], elements);
}

/** A map from numbers to verdicts. */
export function newVerdictMap(table: string, name: string, more: Partial<SetDefinition> = {}): Request {
  return newSet(table, name, CREATE, { flags: NFT_SET_MAP, dataType: NFT_DATA_VERDICT, ...more });
}

/** A nest as the kernel dumps it inside data, without NLA_F_NESTED. */
function bare(type: number, inside: Attribute[]): Attribute {
  return leaf(type, encodeAttributes(inside));
}

function verdict(chain: string, code = NFT_GOTO) {
  const inside = [leaf(1, be32(code >>> 0)), leaf(2, cString(chain))];
  return bare(NFTA_DATA_VERDICT, inside);
}

export function newVerdictElement(table: string, map: string, key: number, chain: string): Request {
  const element = { key: encodeValue(key), data: encodeAttributes([verdict(chain)]) };
  return elementList(nft.NFT_MSG_NEWSETELEM, CREATE, [table, map], [element]);
}

/** An element with an expression of its own. */
export function newElementWith(table: string, set: string, key: number, expression: Expression): Request {
  return elementList(nft.NFT_MSG_NEWSETELEM, CREATE, [table, set], [{ key: encodeValue(key), expression }]);
}

/** A counter as the kernel gives it back. */
export const COUNTER: Expression = {
  name: 'counter',
  data: encodeAttributes([leaf(1, be64(0n)), leaf(2, be64(0n))]),
};

export function jump(chain: string, code = NFT_JUMP): Expression[] {
  const data = encodeAttributes([leaf(1, be32(0)), bare(2, [verdict(chain, code)])]);
  return [{ name: 'immediate', data }];
}

export function goto(chain: string): Expression[] {
  return jump(chain, NFT_GOTO);
}

/** Looks the mark up. */
export function lookup(set: string, { isMap = false } = {}): Expression[] {
  const meta = [leaf(1, be32(NFT_REG_1)), leaf(2, be32(NFT_META_MARK))];
  // As the kernel gives it back, so that what both hold is the same: flags last.
  const register = isMap ? [leaf(3, be32(0))] : [];
  const data = [leaf(1, cString(set)), leaf(2, be32(NFT_REG_1)), ...register, leaf(5, be32(0))];
  return [
    { name: 'meta', data: encodeAttributes([meta[1], meta[0]].flatMap((one) => one ?? [])) },
    { name: 'lookup', data: encodeAttributes(data) },
  ];
}

export function newObject(table: string, name: string, flags = CREATE): Request {
  const object = { table, name, type: NFT_OBJECT_COUNTER, data: new Uint8Array() };
  return nftablesRequest(nft.NFT_MSG_NEWOBJ, flags, objectSchema.encode(object));
}

export function deleteObject(table: string, name: string): Request {
  return nftablesRequest(
    nft.NFT_MSG_DELOBJ,
    0,
    objectSchema.encode({ table, name, type: NFT_OBJECT_COUNTER }),
  );
}

/** The attributes of a dump of one set's elements. */
export function ofSet(table: string, set: string) {
  return [leaf(nft.NFTA_SET_ELEM_LIST_TABLE, cString(table)), leaf(nft.NFTA_SET_ELEM_LIST_SET, cString(set))];
}
