import { tokenize } from '../policy/lexer.js';
import { isAddress } from './address.js';
import { nearest, quote } from './suggest.js';
import {
  numberReader,
  readIp4,
  readIp6,
  readMac,
  type ValueReader,
  writeAddress,
  writeMac,
  writeNumber,
} from './value-bytes.js';

export interface ElementFlaw {
  flaw: string;
  hint?: string | undefined;
}

/** A data type of nft that a set of the configuration can have, or be put together from. */
export interface DataType {
  /** Of a value, as the kernel compares it. */
  bytes: number;
  /** In a key of several parts each begins at a multiple of four bytes. */
  paddedBytes: number;
  /** In words that fit after "is not". */
  meaning: string;
  /** For a single value; ranges and prefixes are taken apart first. */
  isValue: (text: string) => boolean;
  /** The longest prefix, `10.0.0.0/8`; undefined where nft knows none. */
  prefixBits?: number;
  /** Reads a single value in the forms that mean the same to everybody, into network order. */
  read: ValueReader;
  /** The reverse. */
  write: (value: Uint8Array) => string;
  /** Whether nft keeps it in the host's order, but for intervals, which it needs in an order that bytes have. */
  isHostOrder?: boolean;
}

const MAC = /^[0-9a-f]{1,2}(?::[0-9a-f]{1,2}){5}$/i;
/** A service, a protocol: nft looks it up. */
const SYMBOL = /^[A-Za-z][A-Za-z0-9_.+-]*$/;

const DATA_TYPES: ReadonlyMap<string, DataType> = new Map<string, DataType>([
  [
    'ipv4_addr',
    {
      bytes: 4,
      paddedBytes: 4,
      meaning: 'an IPv4 address',
      isValue: (text) => isAddress(text, 4),
      prefixBits: 32,
      read: readIp4,
      write: writeAddress,
    },
  ],
  [
    'ipv6_addr',
    {
      bytes: 16,
      paddedBytes: 16,
      meaning: 'an IPv6 address',
      isValue: (text) => isAddress(text, 6),
      prefixBits: 128,
      read: readIp6,
      write: writeAddress,
    },
  ],
  [
    'ether_addr',
    {
      bytes: 6,
      paddedBytes: 8,
      meaning: 'a MAC address',
      isValue: (text) => MAC.test(text),
      prefixBits: 48,
      read: readMac,
      write: writeMac,
    },
  ],
  ['inet_service', numberType(2, 'a port')],
  ['inet_proto', numberType(1, 'a protocol')],
  ['ether_type', numberType(2, 'an ethertype')],
  ['mark', { ...numberType(4, 'a mark'), isHostOrder: true }],
]);

function numberType(bytes: 1 | 2 | 4, meaning: string): DataType {
  return {
    bytes,
    paddedBytes: 4,
    meaning,
    isValue: numberOrSymbol(8 * bytes),
    read: numberReader(bytes),
    write: writeNumber,
  };
}

/** NFT_DATA_VALUE_MAXLEN: what the kernel compares at once. */
const LONGEST_KEY = 64;

/** The type of a set, checked. */
export interface SetType {
  /** As nft writes it. */
  text: string;
  parts: readonly DataType[];
  /** Bytes of an element's key. */
  keyLength: number;
}

/** Reads `ipv4_addr` or `ipv4_addr . inet_service`. */
export function readSetType(written: string): SetType | ElementFlaw {
  const names = written.trim().split(/ *\. */);
  const parts: DataType[] = [];
  for (const name of names) {
    const part = DATA_TYPES.get(name);
    if (!part) {
      const meant = nearest(name, DATA_TYPES.keys());
      const all = [...DATA_TYPES.keys()].map(quote).join(', ');
      return {
        flaw: `${quote(name)} is no type that a set can have`,
        hint:
          meant === undefined
            ? `The types are ${all}, and several of them with \` . \` between.`
            : `Did you mean ${quote(meant)}?`,
      };
    }
    parts.push(part);
  }
  const bytes = parts.reduce((sum, { paddedBytes }) => sum + paddedBytes, 0);
  if (bytes > LONGEST_KEY)
    return { flaw: `an element of this type has ${bytes} bytes, ${LONGEST_KEY} is the most` };
  const [only, ...more] = parts;
  return { text: names.join(' . '), parts, keyLength: only && more.length === 0 ? only.bytes : bytes };
}

/** Words and what joins them, but no blank but around ` . `: nothing that could end the braces around the elements. */
const PLAIN = /^[A-Za-z0-9_:/.+-]+(?: \. [A-Za-z0-9_:/.+-]+)*$/;

/** Reads one element: the text for nft, and whether the set needs `flags interval` for it. */
export function readElement(
  written: string,
  { text: type, parts }: SetType,
): { text: string; isInterval: boolean } | ElementFlaw {
  const text = written.trim().replace(/ +\. +/g, ' . ');
  if (!PLAIN.test(text)) return { flaw: reasonNotPlain(text) };
  const values = text.split(' . ');
  if (values.length !== parts.length) {
    return {
      flaw: `${quote(text)} has ${values.length} ${values.length === 1 ? 'part' : 'parts'}, and the type ${quote(type)} has ${parts.length}`,
      ...(parts.length > 1 && { hint: 'Write a dot with blanks between the parts.' }),
    };
  }
  let isInterval = false;
  for (const [index, part] of parts.entries()) {
    const form = formOf(values[index] ?? '', part);
    if (form === undefined) return { flaw: `${quote(values[index] ?? '')} is not ${part.meaning}` };
    isInterval ||= form === 'interval';
  }
  return { text, isInterval };
}

function reasonNotPlain(text: string): string {
  if (text === '') return 'an empty element';
  const allowed = [':', '/', '.', '+', '-'];
  const wrong = tokenize(text).find(
    ({ kind, text: token }) => kind !== 'word' && kind !== 'number' && !allowed.includes(token),
  );
  if (wrong === undefined) return `${quote(text)} is more than one element: each is an item of its own`;
  return `${quote(text)} is not one element: it has a ${wrong.kind === 'newline' ? 'line break' : quote(wrong.text)}`;
}

/** Undefined if `text` is nothing of this type. A `-` may also stand in a symbol, such as `ipv6-icmp`. */
function formOf(text: string, { isValue, prefixBits }: DataType): 'value' | 'interval' | undefined {
  if (isValue(text)) return 'value';
  const prefix = /^(.+)\/([0-9]{1,3})$/.exec(text);
  if (prefix?.[1] !== undefined && prefixBits !== undefined) {
    return isValue(prefix[1]) && Number(prefix[2]) <= prefixBits ? 'interval' : undefined;
  }
  const [first, last, ...more] = text.split('-');
  if (first === undefined || last === undefined || more.length > 0) return undefined;
  // A range from a name to a name is nothing that nft knows.
  return [first, last].every((bound) => isValue(bound) && !SYMBOL.test(bound)) ? 'interval' : undefined;
}

function numberOrSymbol(bits: number): (text: string) => boolean {
  return (text) => {
    if (/^(?:[0-9]+|0[xX][0-9a-fA-F]+)$/.test(text)) return Number(text) < 2 ** bits;
    return SYMBOL.test(text);
  };
}
