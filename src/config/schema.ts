import { z } from 'zod';
import { GUARD_ALIASES, GUARD_NAMES, guardsNamed, insteadOfAllowing } from '../policy/guard-name.js';
import { flawInVariableName, flawInVariableValue } from '../policy/variable.js';
import { readAddress } from './address.js';
import type { Rate } from './configuration.js';
import { fewestBytes, type GlobAlternative, literalText, parseGlob } from './glob.js';
import { flawInInterfaceName, flawInNamePart, LONGEST_INTERFACE_NAME } from './interface-name.js';
import { readInterval } from './interval.js';
import { flawInDeviceMac, normaliseMac } from './mac-address.js';
import { readRate } from './rate.js';
import { nearest, quote } from './suggest.js';
import { normaliseUuid } from './uuid.js';

/** Why a text is refused, and what to do about it. */
interface Flaw {
  message: string;
  hint?: string | undefined;
}

/** The longest alias the kernel keeps: IFALIASZ less the NUL. */
const LONGEST_ALIAS = 255;

function textWith(examine: (text: string) => Flaw | undefined): z.ZodString {
  return z.string().check((context) => {
    const flaw = examine(context.value);
    if (!flaw) return;
    const { message, hint } = flaw;
    context.issues.push({ code: 'custom', input: context.value, message, params: { hint } });
  });
}

const interfacePrefix = textWith((text) => {
  const bytes = Buffer.byteLength(text);
  if (text === '') return { message: 'an empty prefix', hint: 'Name the devices, such as `macvtap`.' };
  if (/[*?[\]{}]/.test(text)) {
    const plain = text.replace(/[*?[\]{}].*$/s, '');
    const hint = plain === '' ? 'Name the devices, such as `macvtap`.' : `Write ${quote(plain)}.`;
    return { message: `a prefix is plain text and not a glob: ${quote(text)}`, hint };
  }
  const reason =
    bytes > LONGEST_INTERFACE_NAME
      ? `it has ${bytes} bytes, ${LONGEST_INTERFACE_NAME} is the most`
      : flawInNamePart(text);
  return reason === undefined
    ? undefined
    : { message: `no interface name can begin with ${quote(text)}: ${reason}` };
});

const interfaceName = textWith((text) => {
  const reason = flawInInterfaceName(text);
  return reason === undefined
    ? undefined
    : { message: `${quote(text)} cannot be the name of an interface: ${reason}` };
});

/** Why nothing that `alternative` matches can be an interface's name; undefined unless that is certain. */
function flawInDeviceAlternative(alternative: GlobAlternative): string | undefined {
  const literal = literalText(alternative);
  if (literal !== undefined) return flawInInterfaceName(literal);
  const bytes = fewestBytes(alternative);
  if (bytes > LONGEST_INTERFACE_NAME)
    return `it asks for ${bytes} bytes or more, ${LONGEST_INTERFACE_NAME} is the most`;
  return (
    alternative.map((part) => part.kind === 'literal' && flawInNamePart(part.text)).find(Boolean) || undefined
  );
}

/** A glob that at least one of its alternatives lets match something. */
function globWith(what: string, flawIn: (alternative: GlobAlternative) => string | undefined): z.ZodString {
  return textWith((text) => {
    const glob = parseGlob(text);
    if ('flaw' in glob) return { message: `not a glob: ${glob.flaw}` };
    const reasons = glob.alternatives.map(flawIn);
    if (reasons.includes(undefined)) return undefined;
    return { message: `this binding can never match: ${quote(text)} matches no ${what}: ${reasons[0]}` };
  });
}

const deviceGlob = globWith('interface name', flawInDeviceAlternative);

const aliasGlob = globWith('alias', (alternative) => {
  const bytes = fewestBytes(alternative);
  return bytes > LONGEST_ALIAS
    ? `it asks for ${bytes} bytes or more, ${LONGEST_ALIAS} is the most`
    : undefined;
});

/** libvirt takes nearly any text for a name; it is a file's name in its folders, though. */
const guestGlob = globWith('name of a guest', (alternative) => {
  const literal = literalText(alternative);
  if (literal === '') return 'it is empty';
  return literal?.includes('/') ? 'it has a slash' : undefined;
});

const uuid = textWith((text) =>
  normaliseUuid(text) === undefined
    ? {
        message: `${quote(text)} is not a UUID`,
        hint: 'Write it as `0d6e7c0a-3a4b-4a52-9d6c-0f4f5d8a1b2c`; virsh domuuid tells it.',
      }
    : undefined,
);

const mac = textWith((text) => {
  const address = normaliseMac(text);
  if (address === undefined) {
    return { message: `${quote(text)} is not a MAC address`, hint: 'Write it as `52:54:00:aa:bb:cc`.' };
  }
  const reason = flawInDeviceMac(address);
  return reason === undefined
    ? undefined
    : { message: `this binding can never match: no device has the address ${address}: ${reason}` };
});

const path = textWith((text) => {
  if (text === '') return { message: 'an empty path' };
  return text.includes('\0') ? { message: 'a path with a NUL' } : undefined;
});

const variables = z.record(
  textWith((name) => {
    const reason = flawInVariableName(name);
    return reason === undefined ? undefined : { message: `${quote(name)} cannot be a variable: ${reason}` };
  }),
  z.union([
    textWith((value) => {
      const reason = flawInVariableValue(value);
      return reason === undefined ? undefined : { message: `not a value for an nft variable: ${reason}` };
    }),
    z.int(),
  ]),
);

const guard = textWith((text) => {
  if (guardsNamed(text)) return undefined;
  const instead = insteadOfAllowing(text);
  if (instead !== undefined) {
    return { message: `${quote(text)} is no guard of tapwall: its guards only take away`, hint: instead };
  }
  const names = [...GUARD_NAMES, ...GUARD_ALIASES.keys()];
  const meant = nearest(text, names);
  return {
    message: `there is no guard ${quote(text)}`,
    hint:
      meant === undefined
        ? `The guards are ${GUARD_NAMES.map(quote).join(', ')}.`
        : `Did you mean ${quote(meant)}?`,
  };
});

function rate(unit: Rate['unit']): z.ZodString {
  return textWith((text) => {
    const read = readRate(text, unit);
    return 'flaw' in read ? { message: read.flaw, hint: read.hint } : undefined;
  });
}

const address = textWith((text) => {
  const read = readAddress(text);
  return 'flaw' in read ? { message: read.flaw, hint: read.hint } : undefined;
});

/** nft reads at most eight digits, and the units in this order. */
const duration = textWith((text) =>
  /^(?=[0-9])(?:[0-9]{1,8}d)?(?:[0-9]{1,8}h)?(?:[0-9]{1,8}m)?(?:[0-9]{1,8}s)?(?:[0-9]{1,8}ms)?$/.test(text) &&
  /[1-9]/.test(text)
    ? undefined
    : { message: `${quote(text)} is not a time`, hint: 'Write it as `10m` or `1d12h`.' },
);

const interval = textWith((text) => {
  const read = readInterval(text);
  return 'flaw' in read ? { message: read.flaw, hint: read.hint } : undefined;
});

/** The parts are checked one by one, so that a mistake in one hides no mistake in another. */
export const topSchema = z.strictObject({
  devices: z.unknown().optional(),
  placement: z.enum(['auto', 'prefix', 'names', 'device', 'chain']).optional(),
  unmatched: z.string().optional(),
  egress: z.enum(['required', 'optional']).optional(),
  owner: z.boolean().optional(),
  reconcile: interval.optional(),
  sets: z.record(z.string(), z.unknown()).optional(),
  policies: z.record(z.string(), z.unknown()),
  'domain-policies': z.array(z.string()).optional(),
  bindings: z.array(z.unknown()),
});

export const devicesSchema = z.strictObject({
  prefixes: z.array(interfacePrefix).min(1, 'no prefix: no device would ever be looked at').optional(),
  names: z.array(z.string()).min(1, 'no name: leave the key out for those that libvirt gives').optional(),
});

/** The kernel makes room for as many at once. */
const LARGEST_SET = 2 ** 24;

export const namedSetSchema = z.strictObject({
  type: z.string(),
  /** Checked one by one where the type is known. */
  elements: z.array(z.unknown()).optional(),
  flags: z.array(z.enum(['interval', 'timeout', 'dynamic', 'constant'])).optional(),
  timeout: duration.optional(),
  size: z
    .int()
    .min(1, 'a size is at least 1')
    .max(LARGEST_SET, `a size is at most ${LARGEST_SET}`)
    .optional(),
});

export const policySchema = z.strictObject({
  file: path.optional(),
  ingress: z.string().optional(),
  egress: z.string().optional(),
  default: z.enum(['accept', 'drop']).optional(),
  variables: variables.optional(),
  guards: z.array(guard).optional(),
  /** Checked as a part of its own. */
  limits: z.unknown().optional(),
});

export const limitsSchema = z.strictObject({
  broadcast: rate('packets').optional(),
  'ingress-packets': rate('packets').optional(),
  'ingress-bytes': rate('bytes').optional(),
  'egress-packets': rate('packets').optional(),
  'egress-bytes': rate('bytes').optional(),
});

export const bindingSchema = z.strictObject({
  device: deviceGlob.optional(),
  parent: interfaceName.optional(),
  mac: mac.optional(),
  alias: aliasGlob.optional(),
  guest: guestGlob.optional(),
  uuid: uuid.optional(),
  addresses: z.array(address).optional(),
  policy: z.string(),
});

/**
 * Keys of later versions. A selector that is ignored would give a VM another policy than its configuration says, so
 * each is refused by name.
 */
export const KEYS_OF_LATER_VERSIONS: ReadonlySet<string> = new Set(['namespace']);
