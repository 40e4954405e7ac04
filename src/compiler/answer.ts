import { z } from 'zod';
import { TapwallError } from '../error.js';
import type { Answer, READY } from './protocol.js';

const answerSchema = z.union([
  z.object({ ready: z.literal(true) }),
  z.object({
    id: z.number(),
    status: z.literal('compiled'),
    passes: z.array(z.object({ dump: z.string(), elapsedMs: z.number() })),
    listing: z.string().exactOptional(),
  }),
  z.object({ id: z.number(), status: z.literal('refused'), file: z.string(), error: z.string() }),
  z.object({
    id: z.number(),
    status: z.literal('failed'),
    error: z.object({ code: z.string(), message: z.string() }),
  }),
  z.object({ id: z.number(), status: z.literal('printed'), text: z.string() }),
  z.object({
    id: z.number(),
    status: z.literal('probed'),
    capabilities: z.object({
      ingress: z.boolean(),
      egress: z.boolean(),
      addDevice: z.boolean(),
      namesInAdvance: z.boolean(),
      prefix: z.boolean(),
      ownerPersist: z.boolean(),
      destroy: z.boolean(),
      macvtap: z.boolean(),
    }),
  }),
  z.object({ id: z.number(), status: z.enum(['listed', 'not-listed', 'unmade']) }),
]) satisfies z.ZodType<Answer | typeof READY>;

/**
 * Reads a line of the child's. libnftables may have written anywhere in its memory, and to any descriptor.
 * @throws TapwallError COMPILER_CRASHED for what no child in its senses says.
 */
export function parseAnswer(line: string): Answer | typeof READY {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    value = undefined;
  }
  const { data } = answerSchema.safeParse(value);
  if (data) return data;
  throw new TapwallError('COMPILER_CRASHED', "libnftables made the compiler's process talk nonsense", {
    hint: 'This is a defect of libnftables that a rule of the policy brings out; nothing was changed.',
  });
}
