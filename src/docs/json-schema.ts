import { z } from 'zod';
import { wholeSchema } from '../config/whole-schema.js';

/** As much of JSON Schema as a configuration's has. */
export interface JsonSchema {
  $schema?: string;
  $id?: string;
  title?: string;
  description?: string;
  default?: unknown;
  type?: string | readonly string[];
  enum?: readonly string[];
  properties?: Readonly<Record<string, JsonSchema>>;
  required?: readonly string[];
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  anyOf?: readonly JsonSchema[];
}

/** Draft 7 is what the language servers of editors know best. */
const DRAFT = 'draft-7';

/**
 * The JSON Schema of a configuration. Whatever it refuses tapwall refuses too; tapwall refuses more, since globs,
 * rates, and names that must be there are only text to it.
 */
export function configurationJsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(wholeSchema, { io: 'input', target: DRAFT }) as JsonSchema;
  return { ...schema, title: 'Configuration of tapwall' };
}
