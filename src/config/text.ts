import { z } from 'zod';
import { GUARD_ALIASES, GUARD_NAMES, guardsNamed, insteadOfAllowing } from '../policy/guard-name.js';
import { flawInVariableName, flawInVariableValue } from '../policy/variable.js';
import { readAddress } from './address.js';
import type { Rate } from './configuration.js';
import { fewestBytes, type GlobAlternative, literalText, parseGlob } from './glob.js';
import { flawInInterfaceName, flawInNamePart, LONGEST_INTERFACE_NAME } from './interface-name.js';
import { readInterval } from './interval.js';
import { flawInSocketPath, readListenAddress } from './listen.js';
import { flawInDeviceMac, normaliseMac } from './mac-address.js';
import { readNamespacePattern } from './namespace.js';
import { readRate } from './rate.js';
import { nearest, quote } from './suggest.js';
import { normaliseUuid } from './uuid.js';

/* The kinds of text that a configuration's keys take. */

/** Why a text is refused, and what to do about it. */
interface Flaw {
  message: string;
  hint?: string | undefined;
}

/** The longest alias the kernel keeps: IFALIASZ less the NUL. */
const LONGEST_ALIAS = 255;

export function textWith(examine: (text: string) => Flaw | undefined): z.ZodString {
  return z.string().check((context) => {
    const flaw = examine(context.value);
    if (!flaw) return;
    const { message, hint } = flaw;
    context.issues.push({ code: 'custom', input: context.value, message, params: { hint } });
  });
}

export const interfacePrefix = textWith((text) => {
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

export const interfaceName = textWith((text) => {
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

export const deviceGlob = globWith('interface name', flawInDeviceAlternative);

export const aliasGlob = globWith('alias', (alternative) => {
  const bytes = fewestBytes(alternative);
  return bytes > LONGEST_ALIAS
    ? `it asks for ${bytes} bytes or more, ${LONGEST_ALIAS} is the most`
    : undefined;
});

/** libvirt takes nearly any text for a name; it is a file's name in its folders, though. */
export const guestGlob = globWith('name of a guest', (alternative) => {
  const literal = literalText(alternative);
  if (literal === '') return 'it is empty';
  return literal?.includes('/') ? 'it has a slash' : undefined;
});

export const namespacePattern = textWith((text) => {
  const read = readNamespacePattern(text);
  return 'flaw' in read ? { message: read.flaw, hint: read.hint } : undefined;
});

export const namespaceGlob = globWith('network namespace', (alternative) =>
  literalText(alternative) === '' ? 'it is empty' : undefined,
);

export const uuid = textWith((text) =>
  normaliseUuid(text) === undefined
    ? {
        message: `${quote(text)} is not a UUID`,
        hint: 'Write it as `0d6e7c0a-3a4b-4a52-9d6c-0f4f5d8a1b2c`; virsh domuuid tells it.',
      }
    : undefined,
);

export const mac = textWith((text) => {
  const address = normaliseMac(text);
  if (address === undefined) {
    return { message: `${quote(text)} is not a MAC address`, hint: 'Write it as `52:54:00:aa:bb:cc`.' };
  }
  const reason = flawInDeviceMac(address);
  return reason === undefined
    ? undefined
    : { message: `this binding can never match: no device has the address ${address}: ${reason}` };
});

export const path = textWith((text) => {
  if (text === '') return { message: 'an empty path' };
  return text.includes('\0') ? { message: 'a path with a NUL' } : undefined;
});

export const socketPath = textWith((text) => {
  if (!text.startsWith('/')) return { message: `${quote(text)} is not an absolute path` };
  const flaw = flawInSocketPath(text);
  return flaw === undefined ? undefined : { message: flaw };
});

export const listenAddress = textWith((text) => {
  const read = readListenAddress(text);
  return 'flaw' in read ? { message: read.flaw, hint: read.hint } : undefined;
});

export const folderPath = textWith((text) => {
  if (!text.startsWith('/')) return { message: `${quote(text)} is not an absolute path` };
  return text.includes('\0') ? { message: 'a path with a NUL' } : undefined;
});

export const groupName = textWith((text) =>
  /^[^\s:]{1,32}$/.test(text) ? undefined : { message: `${quote(text)} is not the name of a group` },
);

export const variables = z.record(
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

export const guard = textWith((text) => {
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

export function rate(unit: Rate['unit']): z.ZodString {
  return textWith((text) => {
    const read = readRate(text, unit);
    return 'flaw' in read ? { message: read.flaw, hint: read.hint } : undefined;
  });
}

export const address = textWith((text) => {
  const read = readAddress(text);
  return 'flaw' in read ? { message: read.flaw, hint: read.hint } : undefined;
});

/** nft reads at most eight digits, and the units in this order. */
export const duration = textWith((text) =>
  /^(?=[0-9])(?:[0-9]{1,8}d)?(?:[0-9]{1,8}h)?(?:[0-9]{1,8}m)?(?:[0-9]{1,8}s)?(?:[0-9]{1,8}ms)?$/.test(text) &&
  /[1-9]/.test(text)
    ? undefined
    : { message: `${quote(text)} is not a time`, hint: 'Write it as `10m` or `1d12h`.' },
);

export const interval = textWith((text) => {
  const read = readInterval(text);
  return 'flaw' in read ? { message: read.flaw, hint: read.hint } : undefined;
});
