import { dirname, resolve } from 'node:path';
import { countElements } from '../nftables/packed-elements.js';
import { RAW_PAYLOAD_BASES } from '../policy/chain-text.js';
import { NFT_KEYWORDS } from '../policy/keyword.js';
import type { NamedSet, SetFlag } from './configuration.js';
import { ElementReader } from './element-reader.js';
import type { Findings } from './findings.js';
import { checkPart } from './issue.js';
import { namedSetSchema } from './schema.js';
import { type ElementFlaw, readElement, readSetType, type SetType } from './set-element.js';
import type { Span } from './source.js';
import { quote } from './suggest.js';
import { describe, type Located, type LocatedEntry } from './yaml.js';

const SET_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,31}$/;

/** Reads `sets`. What is wrong with a set is told; the set is then not in the result. */
export function readNamedSets(entry: LocatedEntry | undefined, findings: Findings): Map<string, NamedSet> {
  const sets = new Map<string, NamedSet>();
  if (entry?.value.kind !== 'map') return sets;
  for (const [name, setEntry] of entry.value.entries) {
    checkName(name, setEntry, findings);
    const set = readNamedSet(name, setEntry, findings);
    if (set) sets.set(name, set);
  }
  return sets;
}

function checkName(name: string, { key }: LocatedEntry, findings: Findings): void {
  if (name.includes('.')) {
    findings.refuse(
      key,
      `${quote(name)} cannot be the name of a set: names with a dot are tapwall’s own`,
      'They stand in the same table as the sets of the addresses, which no rule may change.',
    );
  } else if (!SET_NAME.test(name)) {
    findings.refuse(
      key,
      `${quote(name)} cannot be the name of a set`,
      'Up to 32 letters, digits, `_` and `-`, the first a letter.',
    );
  } else if (NFT_KEYWORDS.has(name) || RAW_PAYLOAD_BASES.has(name)) {
    findings.refuse(key, `${quote(name)} cannot be the name of a set: it is a keyword of nft`);
  }
}

function readNamedSet(name: string, { key, value }: LocatedEntry, findings: Findings): NamedSet | undefined {
  const part = { name: `the set ${quote(name)}`, value, key };
  const fields = checkPart(namedSetSchema, part, findings.source, findings.problems);
  if (!fields || value.kind !== 'map') return undefined;
  const type = readSetType(fields.type);
  if ('flaw' in type) {
    findings.refuse(value.entries.get('type')?.value.span ?? key, type.flaw, type.hint);
    return undefined;
  }
  const list = value.entries.get('elements')?.value;
  const flags = new Set<SetFlag>(fields.flags);
  const items = list?.kind === 'list' ? list.items : [];
  const file = value.entries.get('file');
  if (file) checkFile(file.key, { type, flags, hasElements: list !== undefined }, findings);
  const elements = readElements(items, type, isForNft(type, flags), findings);
  if (elements.haveInterval) flags.add('interval');
  if (fields.timeout !== undefined) flags.add('timeout');
  const flagsSpan = (value.entries.get('flags') ?? value.entries.get('timeout') ?? { key }).key;
  for (const [one, other] of EXCLUDING_FLAGS) {
    if (flags.has(one) && flags.has(other)) {
      findings.refuse(flagsSpan, `no set can be both ${quote(one)} and ${quote(other)}`);
    }
  }
  const packed = elements.reader?.finish(flags.has('interval'));
  const count = packed ? countElements(packed) : elements.texts.length;
  const { size } = fields;
  if (size !== undefined && size < count) {
    findings.refuse(
      value.entries.get('size')?.value.span ?? key,
      `the set has ${count} elements, more than its size`,
    );
  }
  return {
    name,
    type: type.text,
    packed,
    elements: elements.texts,
    flags: [...flags],
    ...(fields.file !== undefined && { file: resolve(dirname(findings.source.file), fields.file) }),
    ...(fields.timeout !== undefined && { timeout: fields.timeout }),
    ...(size !== undefined && { size }),
    location: findings.source.location(key.start),
    elementLocations: elements.locations,
  };
}

/** The kernel refuses both; it can't add single elements to what it keeps as intervals while packets pass. */
const EXCLUDING_FLAGS: readonly (readonly [SetFlag, SetFlag])[] = [
  ['interval', 'dynamic'],
  ['constant', 'timeout'],
];

/** A file is not for nft to read. */
function checkFile(
  key: Span,
  { type, flags, hasElements }: { type: SetType; flags: ReadonlySet<SetFlag>; hasElements: boolean },
  findings: Findings,
): void {
  if (hasElements) findings.refuse(key, '`elements` and `file` exclude each other');
  if (!isForNft(type, flags)) return;
  const flag = flags.has('constant') ? 'constant' : 'interval';
  const hint = 'Leave the flag out, or list the elements in the configuration.';
  const kind = flag === 'interval' ? ' and several parts' : '';
  findings.refuse(key, `a set with the flag ${quote(flag)}${kind} cannot have a file`, hint);
}

/**
 * Whether nft has to read the elements whatever they are: the kernel keeps intervals of several parts in another form, and
 * what is constant takes no elements behind the rules that use it.
 */
function isForNft({ parts }: SetType, flags: ReadonlySet<SetFlag>): boolean {
  return flags.has('constant') || (flags.has('interval') && parts.length > 1);
}

interface Elements {
  /** Has read them all; undefined where nft has to. */
  reader: ElementReader | undefined;
  texts: string[];
  locations: NamedSet['elementLocations'][number][];
  haveInterval: boolean;
}

/** A loop of its own, without the schema library: there may be a hundred thousand. */
function readElements(
  items: readonly Located[],
  type: SetType,
  forNft: boolean,
  findings: Findings,
): Elements {
  const reader = new ElementReader(type, items.length);
  let hasOther = false;
  for (const item of items) {
    const written = writtenText(item, findings);
    if (written === undefined) {
      findings.refuse(item.span, `expected text or a whole number, got ${describe(item)}`);
      continue;
    }
    const text = Buffer.from(written.trim());
    const outcome = reader.read(text, 0, text.length);
    if (outcome === 'read') continue;
    const element = outcome === 'backwards' ? backwards(written) : readElement(written, type);
    if ('flaw' in element) findings.refuse(item.span, element.flaw, element.hint);
    else hasOther = true;
  }
  if (forNft || hasOther) return elementsForNft(items, type, findings);
  return { reader, texts: [], locations: [], haveInterval: reader.haveInterval };
}

function backwards(written: string): ElementFlaw {
  return { flaw: `the range ${quote(written.trim())} ends before it begins` };
}

/** One says something to nft alone, so nft reads them all: those that are right, for others were told of. */
function elementsForNft(items: readonly Located[], type: SetType, findings: Findings): Elements {
  const elements: Elements = { reader: undefined, texts: [], locations: [], haveInterval: false };
  for (const item of items) {
    const element = readElement(writtenText(item, findings) ?? '', type);
    if ('flaw' in element) continue;
    elements.texts.push(element.text);
    elements.locations.push(findings.source.location(item.span.start));
    elements.haveInterval ||= element.isInterval;
  }
  return elements;
}

/** A number as it stands in the file: `10.0` is half an address that somebody forgot to finish, and not a ten. */
function writtenText(item: Located, { source }: Findings): string | undefined {
  if (item.kind !== 'scalar') return undefined;
  if (typeof item.value === 'string') return item.value;
  return typeof item.value === 'number' ? source.text.slice(item.span.start, item.span.end) : undefined;
}
