import { parseAttributes, readText } from '../netlink/attribute.js';
import type { Message } from '../netlink/message.js';
import {
  familyNames,
  NFT_MSG_DELCHAIN,
  NFT_MSG_DELOBJ,
  NFT_MSG_DELRULE,
  NFT_MSG_DELSET,
  NFT_MSG_DELSETELEM,
  NFT_MSG_DELTABLE,
  NFT_MSG_DESTROYSETELEM,
  NFT_MSG_DESTROYTABLE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWOBJ,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSET,
  NFT_MSG_NEWSETELEM,
  NFT_MSG_NEWTABLE,
  NFTA_CHAIN_NAME,
  NFTA_OBJ_NAME,
  NFTA_RULE_CHAIN,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_NAME,
  NFTA_TABLE_NAME,
} from '../nftables/constants.js';
import { NFGENMSG_LENGTH } from '../nftables/message.js';
import { refusalOf } from './fake-answer.js';

/** One operation of a transaction, as the fake kernel understood its bytes. */
export interface FakeOperation {
  /** The name of its nf_tables message: `NEWTABLE`, `DELCHAIN`, … */
  operation: string;
  /** `netdev`, `inet`, … */
  family: string;
  /** Absent where the message names no table, as one that deletes all does. */
  table?: string;
  chain?: string;
  set?: string;
  object?: string;
  /** How many elements are added or deleted. */
  elements?: number;
}

type Part = 'chain' | 'set' | 'object';

const operations = new Map<number, [name: string, part?: Part, attribute?: number]>([
  [NFT_MSG_NEWTABLE, ['NEWTABLE']],
  [NFT_MSG_DELTABLE, ['DELTABLE']],
  [NFT_MSG_DESTROYTABLE, ['DESTROYTABLE']],
  [NFT_MSG_NEWCHAIN, ['NEWCHAIN', 'chain', NFTA_CHAIN_NAME]],
  [NFT_MSG_DELCHAIN, ['DELCHAIN', 'chain', NFTA_CHAIN_NAME]],
  [NFT_MSG_NEWRULE, ['NEWRULE', 'chain', NFTA_RULE_CHAIN]],
  [NFT_MSG_DELRULE, ['DELRULE', 'chain', NFTA_RULE_CHAIN]],
  [NFT_MSG_NEWSET, ['NEWSET', 'set', NFTA_SET_NAME]],
  [NFT_MSG_DELSET, ['DELSET', 'set', NFTA_SET_NAME]],
  [NFT_MSG_NEWSETELEM, ['NEWSETELEM', 'set', NFTA_SET_ELEM_LIST_SET]],
  [NFT_MSG_DELSETELEM, ['DELSETELEM', 'set', NFTA_SET_ELEM_LIST_SET]],
  [NFT_MSG_DESTROYSETELEM, ['DESTROYSETELEM', 'set', NFTA_SET_ELEM_LIST_SET]],
  [NFT_MSG_NEWOBJ, ['NEWOBJ', 'object', NFTA_OBJ_NAME]],
  [NFT_MSG_DELOBJ, ['DELOBJ', 'object', NFTA_OBJ_NAME]],
]);

/** Says what a message of a batch does, as far as it can be read. */
export function describeOperation({ type, payload }: Message): FakeOperation {
  const [name, part, partType] = operations.get(type & 0xff) ?? [`operation ${type & 0xff}`];
  const family = payload[0] ?? 0;
  const described: FakeOperation = { operation: name, family: familyNames.get(family) ?? String(family) };
  refusalOf(() => {
    for (const attribute of parseAttributes(payload.subarray(NFGENMSG_LENGTH))) {
      if (attribute.type === NFTA_TABLE_NAME) described.table = readText(attribute);
      else if (part && attribute.type === partType) described[part] = readText(attribute);
      else if (name.endsWith('SETELEM') && attribute.type === NFTA_SET_ELEM_LIST_ELEMENTS) {
        described.elements = parseAttributes(attribute.value).length;
      }
    }
  });
  return described;
}
