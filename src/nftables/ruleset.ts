import type { Message } from '../netlink/message.js';
import { type Chain, chainSchema } from './chain.js';
import {
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWFLOWTABLE,
  NFT_MSG_NEWOBJ,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSET,
  NFT_MSG_NEWSETELEM,
  NFT_MSG_NEWTABLE,
} from './constants.js';
import { elementListSchema, type SetElement } from './element.js';
import { parseNftablesMessage } from './message.js';
import { type NamedObject, objectSchema } from './object.js';
import { type Rule, ruleSchema } from './rule.js';
import { type SetDefinition, setSchema } from './set.js';
import { type Table, tableSchema } from './table.js';

export type InFamily<T> = T & { family: number };

/** Everything a network namespace's nf_tables holds, as dumped. */
export interface Ruleset {
  tables: InFamily<Table>[];
  chains: InFamily<Chain>[];
  /** In the order of evaluation within each chain. */
  rules: InFamily<Rule>[];
  sets: InFamily<SetDefinition>[];
  elements: InFamily<{ table: string; set: string; elements: SetElement[] }>[];
  objects: InFamily<NamedObject>[];
  /** How many flow tables there are; tapwall knows nothing else of them. */
  flowtables: number;
}

/** Sorts the messages of any number of dumps into a ruleset. */
export function parseRuleset(messages: readonly Message[]): Ruleset {
  const ruleset: Ruleset = {
    tables: [],
    chains: [],
    rules: [],
    sets: [],
    elements: [],
    objects: [],
    flowtables: 0,
  };
  for (const message of messages) {
    const parsed = parseNftablesMessage(message);
    if (!parsed) continue;
    const { family, operation, attributes } = parsed;
    switch (operation) {
      case NFT_MSG_NEWTABLE:
        ruleset.tables.push({ family, ...tableSchema.parse(attributes) });
        break;
      case NFT_MSG_NEWCHAIN:
        ruleset.chains.push({ family, ...chainSchema.parse(attributes) });
        break;
      case NFT_MSG_NEWRULE:
        ruleset.rules.push({ family, ...ruleSchema.parse(attributes) });
        break;
      case NFT_MSG_NEWSET:
        ruleset.sets.push({ family, ...setSchema.parse(attributes) });
        break;
      case NFT_MSG_NEWSETELEM:
        addElements(ruleset, family, attributes);
        break;
      case NFT_MSG_NEWOBJ:
        ruleset.objects.push({ family, ...objectSchema.parse(attributes) });
        break;
      case NFT_MSG_NEWFLOWTABLE:
        ruleset.flowtables++;
        break;
    }
  }
  return ruleset;
}

/** A large set is dumped in several messages; they become one list. */
function addElements(ruleset: Ruleset, family: number, attributes: Uint8Array): void {
  const { table, set, elements = [] } = elementListSchema.parse(attributes);
  const known = ruleset.elements.find(
    (list) => list.family === family && list.table === table && list.set === set,
  );
  if (known) for (const element of elements) known.elements.push(element);
  else ruleset.elements.push({ family, table, set, elements });
}
