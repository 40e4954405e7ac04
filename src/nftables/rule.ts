import { be64Field, bytesField, listField, schema, textField, type WithOther } from '../netlink/schema.js';
import {
  NFTA_EXPR_DATA,
  NFTA_EXPR_NAME,
  NFTA_LIST_ELEM,
  NFTA_RULE_CHAIN,
  NFTA_RULE_COMPAT,
  NFTA_RULE_EXPRESSIONS,
  NFTA_RULE_HANDLE,
  NFTA_RULE_POSITION,
  NFTA_RULE_TABLE,
  NFTA_RULE_USERDATA,
} from './constants.js';

/** One expression of a rule, set or element. What is in `data` is between libnftables and the kernel. */
export interface Expression extends WithOther {
  /** `payload`, `cmp`, `immediate`, … */
  name: string;
  /** Encoded attributes; absent where the expression has none (`notrack`). */
  data?: Uint8Array;
}

export const expressionSchema = schema<Expression>(
  'expression',
  { name: textField(NFTA_EXPR_NAME), data: bytesField(NFTA_EXPR_DATA) },
  ['name'],
);

export interface Rule extends WithOther {
  table: string;
  chain: string;
  handle?: bigint;
  /** In a dump, the handle of the rule before it; in a request, where to insert. */
  position?: bigint;
  expressions?: Expression[];
  compat?: Uint8Array;
  userdata?: Uint8Array;
}

export const ruleSchema = schema<Rule>(
  'rule',
  {
    table: textField(NFTA_RULE_TABLE),
    chain: textField(NFTA_RULE_CHAIN),
    handle: be64Field(NFTA_RULE_HANDLE),
    position: be64Field(NFTA_RULE_POSITION),
    expressions: listField(NFTA_RULE_EXPRESSIONS, NFTA_LIST_ELEM, expressionSchema),
    compat: bytesField(NFTA_RULE_COMPAT),
    userdata: bytesField(NFTA_RULE_USERDATA),
  },
  ['table', 'chain'],
);
