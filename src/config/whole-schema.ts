import { z } from 'zod';
import {
  bindingSchema,
  controlSchema,
  devicesSchema,
  limitsSchema,
  metricsSchema,
  namedSetSchema,
  policySchema,
  topSchema,
} from './schema.js';

/**
 * All parts of a configuration in one schema. The loader checks part by part and tells more; this is for the type of a
 * configuration object, for the reference and for editors. It is wider than the loader: what only code can check
 * (globs, rates, names that must be there) is text here.
 */
export const wholeSchema = topSchema.extend({
  devices: inPlaceOf(topSchema.shape.devices, devicesSchema.optional()),
  control: inPlaceOf(topSchema.shape.control, z.union([z.literal('off'), controlSchema]).optional()),
  metrics: inPlaceOf(topSchema.shape.metrics, z.union([z.literal('off'), metricsSchema]).optional()),
  sets: inPlaceOf(topSchema.shape.sets, z.record(z.string(), namedSetSchema).optional()),
  policies: inPlaceOf(
    topSchema.shape.policies,
    z.record(
      z.string(),
      policySchema.extend({ limits: inPlaceOf(policySchema.shape.limits, limitsSchema.optional()) }),
    ),
  ),
  bindings: inPlaceOf(topSchema.shape.bindings, z.array(bindingSchema)),
});

/** A configuration as an object, with the keys that the file has. */
export type ConfigurationObject = z.input<typeof wholeSchema>;

/** The part's own schema, with what the key says of itself. */
function inPlaceOf<Schema extends z.ZodType>(key: z.ZodType, part: Schema): Schema {
  return part.meta(key.meta() ?? {});
}
