import { encodeAttributes, parseAttributes, readText } from '../netlink/attribute.js';
import { cString } from '../netlink/bytes.js';
import type { Expression } from '../nftables/rule.js';

/**
 * The attribute by which an expression names a set: NFTA_LOOKUP_SET, NFTA_DYNSET_SET_NAME and NFTA_OBJREF_SET_NAME
 * of linux/netfilter/nf_tables.h.
 */
const SET_NAME_ATTRIBUTE: Readonly<Record<string, number>> = { lookup: 1, dynset: 1, objref: 4 };

/** The set that an expression uses; undefined when it uses none. */
export function setReference({ name, data }: Expression): string | undefined {
  const type = SET_NAME_ATTRIBUTE[name];
  if (type === undefined || !data) return undefined;
  const attribute = parseAttributes(data).find((one) => one.type === type);
  return attribute && readText(attribute);
}

/** The same expression with the set called by its other name, if it has one. */
export function renameSet(expression: Expression, names: ReadonlyMap<string, string>): Expression {
  const old = setReference(expression);
  const renamed = old === undefined ? undefined : names.get(old);
  if (renamed === undefined || !expression.data) return expression;
  const type = SET_NAME_ATTRIBUTE[expression.name];
  const attributes = parseAttributes(expression.data).map((attribute) =>
    attribute.type === type ? { ...attribute, value: cString(renamed) } : attribute,
  );
  return { ...expression, data: encodeAttributes(attributes) };
}
