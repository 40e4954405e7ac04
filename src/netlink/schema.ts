import { TapwallError } from '../error.js';
import {
  type Attribute,
  type LeafAttribute,
  leaf,
  parseAttributes,
  readBe32,
  readBe64,
  readHost32,
  readText,
} from './attribute.js';
import { be32, be64, copyBytes, cString, host32 } from './bytes.js';

/** How one attribute becomes one property, and back. */
export interface Field<T> {
  readonly type: number;
  parse(attribute: LeafAttribute): T;
  encode(value: T): Attribute;
}

export const textField = (type: number): Field<string> => ({
  type,
  parse: readText,
  encode: (value) => leaf(type, cString(value)),
});

export const be32Field = (type: number): Field<number> => ({
  type,
  parse: readBe32,
  encode: (value) => leaf(type, be32(value)),
});

export const be64Field = (type: number): Field<bigint> => ({
  type,
  parse: readBe64,
  encode: (value) => leaf(type, be64(value)),
});

export const host32Field = (type: number): Field<number> => ({
  type,
  parse: readHost32,
  encode: (value) => leaf(type, host32(value)),
});

/** A payload that is carried and not looked into. The view is copied, so that the datagram can be let go. */
export const bytesField = (type: number): Field<Uint8Array> => ({
  type,
  parse: (attribute) => copyBytes(attribute.value),
  encode: (value) => leaf(type, value),
});

/** A nest whose content has a schema of its own. The kernel's nf_tables dumps leave NLA_F_NESTED away. */
export const nestedField = <T extends object>(type: number, schema: Schema<T>): Field<T> => ({
  type,
  parse: (attribute) => schema.parse(attribute.value),
  encode: (value) => ({ type, flags: 0, nested: schema.encode(value) }),
});

/**
 * A nest that holds a list; every entry is an attribute of type `entryType` with the given schema.
 * @param numbered reads entries of any type: libnftnl counts the elements of a set, and the kernel does not look.
 */
export const listField = <T extends object>(
  type: number,
  entryType: number,
  schema: Schema<T>,
  { numbered = false } = {},
): Field<T[]> => ({
  type,
  parse: (attribute) =>
    parseAttributes(attribute.value).map((entry) => {
      if (entry.type !== entryType && !numbered) {
        throw new TapwallError('MALFORMED_MESSAGE', `attribute ${entry.type} in a list of ${entryType}`);
      }
      return schema.parse(entry.value);
    }),
  encode: (values) => ({
    type,
    flags: 0,
    nested: values.map((value) => ({ type: entryType, flags: 0, nested: schema.encode(value) })),
  }),
});

/** Attributes that this version of tapwall does not know survive here, in the order in which they came. */
export interface WithOther {
  other?: LeafAttribute[];
}

type Fields<T> = { [K in Exclude<keyof T, 'other'>]-?: Field<NonNullable<T[K]>> };

/** The attributes of one kind of netlink object, as a plain object and as bytes. */
export interface Schema<T extends object> {
  /** @throws TapwallError MALFORMED_MESSAGE on lengths that lie, values too short or a required one missing. */
  parse(bytes: Uint8Array): T & WithOther;
  /** Attributes in the order of the schema, which is the kernel's own; unknown ones behind them. */
  encode(value: T & WithOther): Attribute[];
}

/**
 * @param what names the object in errors: `table`, `set element`.
 * @param fields in the order in which the kernel writes them.
 */
export function schema<T extends object>(
  what: string,
  fields: Fields<T>,
  required: readonly (keyof Fields<T> & string)[] = [],
): Schema<T> {
  const entries = Object.entries(fields) as [keyof Fields<T> & string, Field<unknown>][];
  const byType = new Map(entries.map((entry) => [entry[1].type, entry]));
  return {
    parse(bytes) {
      const value: Record<string, unknown> = {};
      const other: LeafAttribute[] = [];
      for (const attribute of parseAttributes(bytes)) {
        const entry = byType.get(attribute.type);
        if (entry) value[entry[0]] = entry[1].parse(attribute);
        else other.push({ ...attribute, value: copyBytes(attribute.value) });
      }
      for (const name of required) {
        if (value[name] === undefined) {
          throw new TapwallError('MALFORMED_MESSAGE', `malformed ${what}: no ${name}`);
        }
      }
      if (other.length > 0) value['other'] = other;
      return value as T & WithOther;
    },
    encode(value) {
      const attributes: Attribute[] = [];
      const properties = value as Record<string, unknown>;
      for (const [name, field] of entries) {
        const property = properties[name];
        if (property !== undefined) attributes.push(field.encode(property));
      }
      if (value.other) attributes.push(...value.other);
      return attributes;
    },
  };
}
