import type { Problem } from '../error.js';
import type { Binding } from './configuration.js';
import { compileGlob, type Glob, literalHead, literalText, parseGlob, prefixText } from './glob.js';
import type { SourceText, Span } from './source.js';
import { quote } from './suggest.js';

/** A binding that is right in itself, with its places in the file. */
export interface PlacedBinding {
  binding: Binding;
  span: Span;
  /** Of the value of `device`. */
  device: Span | undefined;
}

/** A binding with its globs read. */
interface Selectors {
  placed: PlacedBinding;
  /** Undefined also where the glob takes every device that is looked at. */
  device: Glob | undefined;
  alias: Glob | undefined;
  guest: Glob | undefined;
  namespace: Glob | undefined;
  uuid: string | undefined;
  mac: string | undefined;
  parent: string | undefined;
  /** If `device` can match one name only, that name. */
  name: string | undefined;
}

/**
 * Bindings that no device can ever reach. Only what is certain is reported: that two earlier bindings together
 * cover a third, or that two globs with stars in their middle do, goes unnoticed.
 */
export function findUnreachable(
  bindings: readonly PlacedBinding[],
  prefixes: readonly string[],
  source: SourceText,
): Problem[] {
  const problems: Problem[] = [];
  const earlier = new Map<string, Selectors[]>();
  for (const placed of bindings) {
    const selectors = readSelectors(placed, prefixes);
    const report = (span: Span, reason: string, hint?: string) =>
      problems.push(source.problem(span, `this binding can never match: ${reason}`, hint));
    const { device } = placed.binding;
    if (device !== undefined && placed.device && !canBeginWithOneOf(device, prefixes)) {
      report(
        placed.device,
        `${quote(device)} matches no name that begins with ${prefixes.map(quote).join(' or ')}`,
        'Only such devices are looked at: the list is `devices.prefixes`.',
      );
    }
    // The name of a parent in another network namespace, which may be the same, is never known.
    if (selectors.name !== undefined && selectors.name === selectors.parent) {
      report(placed.span, `${quote(selectors.name)} cannot be its own parent`);
    }
    const cover = candidates(selectors, earlier).find((other) => coversGlobs(other, selectors));
    if (cover) {
      const { line } = source.location(cover.placed.span.start);
      report(
        placed.span,
        `the one in line ${line} comes first and matches everything it matches`,
        'The first binding that matches wins: put the narrower one first, or take this one out.',
      );
    }
    const bucket = bucketOf(selectors.mac, selectors.uuid, selectors.parent, selectors.name);
    const others = earlier.get(bucket);
    if (others) others.push(selectors);
    else earlier.set(bucket, [selectors]);
  }
  return problems;
}

function readSelectors(placed: PlacedBinding, prefixes: readonly string[]): Selectors {
  const { device: deviceText, alias: aliasText, guest: guestText, uuid, mac, parent } = placed.binding;
  const device = readGlob(deviceText);
  const [only, ...others] = device?.alternatives ?? [];
  return {
    placed,
    device: device && takesAll(device, prefixes) ? undefined : device,
    alias: readGlob(aliasText),
    guest: readGlob(guestText),
    namespace: readGlob(placed.binding.namespace),
    uuid,
    mac,
    parent,
    name: only && others.length === 0 ? literalText(only) : undefined,
  };
}

function readGlob(text: string | undefined): Glob | undefined {
  const glob = text === undefined ? undefined : parseGlob(text);
  return glob && 'flaw' in glob ? undefined : glob;
}

/** True if every name that begins with one of `prefixes` matches. */
function takesAll(glob: Glob, prefixes: readonly string[]): boolean {
  const heads = glob.alternatives.map(prefixText).filter((head) => head !== undefined);
  return prefixes.every((prefix) => heads.some((head) => prefix.startsWith(head)));
}

/** False only if it is certain that no name which begins with one of `prefixes` matches. */
function canBeginWithOneOf(device: string, prefixes: readonly string[]): boolean {
  const glob = readGlob(device);
  if (!glob) return true;
  return glob.alternatives.some((alternative) => {
    const head = literalHead(alternative);
    if (literalText(alternative) !== undefined) return prefixes.some((prefix) => head.startsWith(prefix));
    return prefixes.some((prefix) => head.startsWith(prefix) || prefix.startsWith(head));
  });
}

/**
 * The earlier bindings that can cover this one: each has the same MAC, UUID, parent and device name, or none. So
 * thousands of bindings that each name one VM are never compared in pairs.
 */
function candidates(
  { mac, uuid, parent, name }: Selectors,
  earlier: ReadonlyMap<string, Selectors[]>,
): Selectors[] {
  const orNone = (value: string | undefined) => (value === undefined ? [undefined] : [value, undefined]);
  return orNone(mac).flatMap((wantedMac) =>
    orNone(uuid).flatMap((wantedUuid) =>
      orNone(parent).flatMap((wantedParent) =>
        orNone(name).flatMap(
          (wantedName) => earlier.get(bucketOf(wantedMac, wantedUuid, wantedParent, wantedName)) ?? [],
        ),
      ),
    ),
  );
}

function bucketOf(...keys: (string | undefined)[]): string {
  return JSON.stringify(keys.map((key) => key ?? null));
}

function coversGlobs(earlier: Selectors, later: Selectors): boolean {
  return (
    coversGlob(earlier.device, later.device) &&
    coversGlob(earlier.alias, later.alias) &&
    coversGlob(earlier.guest, later.guest) &&
    coversGlob(earlier.namespace, later.namespace)
  );
}

/** True only if it is certain that `earlier` matches whatever `later` matches; undefined matches everything. */
function coversGlob(earlier: Glob | undefined, later: Glob | undefined): boolean {
  if (earlier === undefined || earlier.text === later?.text) return true;
  if (later === undefined) return false;
  const heads = earlier.alternatives.map(prefixText).filter((head) => head !== undefined);
  return later.alternatives.every((alternative) => {
    if (heads.some((head) => literalHead(alternative).startsWith(head))) return true;
    const literal = literalText(alternative);
    return literal !== undefined && testOf(earlier)(literal);
  });
}

const tests = new WeakMap<Glob, (text: string) => boolean>();

/** Compiled once for all the bindings that are compared with this one. */
function testOf(glob: Glob): (text: string) => boolean {
  const known = tests.get(glob);
  if (known) return known;
  const test = compileGlob(glob);
  tests.set(glob, test);
  return test;
}
