import type { JsonSchema } from './json-schema.js';

/** One key of a configuration, as the reference tells of it. */
export interface ConfigurationKey {
  name: string;
  /** In words: `list of globs`; with backticks where something is written literally. */
  type: string;
  isRequired: boolean;
  /** As it would be written; undefined where leaving it out means that there is none, or where `description` says. */
  default: string | undefined;
  description: string;
}

/** The keys that stand together in one map. */
export interface ConfigurationSection {
  /** `` for the file itself, else as `policies.NAME.limits` or `bindings[]`. */
  path: string;
  keys: readonly ConfigurationKey[];
}

/** The sections of a schema, each before those inside it, in the order of the schema. */
export function sectionsOf(schema: JsonSchema, path = ''): ConfigurationSection[] {
  const keys = Object.entries(schema.properties ?? {}).map(([name, property]) => ({
    name,
    type: typeOf(property),
    isRequired: schema.required?.includes(name) === true,
    default: property.default === undefined ? undefined : asYaml(property.default),
    description: property.description ?? '',
  }));
  const inner = Object.entries(schema.properties ?? {}).flatMap(([name, property]) =>
    innerSections(property, path === '' ? name : `${path}.${name}`),
  );
  return [{ path, keys }, ...inner];
}

function innerSections(schema: JsonSchema, path: string): ConfigurationSection[] {
  if (schema.properties) return sectionsOf(schema, path);
  if (schema.items) return innerSections(schema.items, `${path}[]`);
  if (typeof schema.additionalProperties === 'object')
    return innerSections(schema.additionalProperties, `${path}.NAME`);
  return [];
}

function typeOf(schema: JsonSchema): string {
  const { title, type, items, additionalProperties } = schema;
  if (title !== undefined) return title;
  if (schema.enum) return alternatives(schema.enum.map((value) => `\`${value}\``));
  if (schema.anyOf) return alternatives(schema.anyOf.map(typeOf));
  if (items) return items.properties ? 'list of maps' : `list of: ${typeOf(items)}`;
  if (typeof additionalProperties === 'object') {
    const inner = typeOf(additionalProperties);
    return inner === 'map' ? 'map of names to maps' : `map of names to: ${inner}`;
  }
  if (type === 'object') return 'map';
  return TYPE_WORDS[String(type)] ?? String(type);
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'whole number',
  number: 'number',
  boolean: '`true` or `false`',
};

function alternatives(words: readonly string[]): string {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function asYaml(value: unknown): string {
  return Array.isArray(value) ? `[${value.map(asYaml).join(', ')}]` : String(value);
}
