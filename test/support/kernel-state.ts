/**
 * What the kernel holds in a namespace's nf_tables, as plain JSON that two namespaces can be compared by. It reads
 * attributes by their numbers alone and knows nothing of the schemas under test.
 */
import { dumpRuleset } from '#src/compiler/scratch.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import { parseAttributes } from '#src/netlink/attribute.js';
import { parseMessages } from '#src/netlink/message.js';

/** Message operations, linux/netfilter/nf_tables.h. */
const NEWTABLE = 0;
const NEWCHAIN = 3;
const NEWRULE = 6;
const NEWSET = 9;
const NEWSETELEM = 12;
const NEWOBJ = 18;

/** What the kernel numbers as it likes: handles, and the handle of the rule before. */
const NUMBERED: Record<number, number[]> = {
  [NEWTABLE]: [4],
  [NEWCHAIN]: [2],
  [NEWRULE]: [3, 6],
  [NEWSET]: [16],
  [NEWOBJ]: [6],
};
const TABLE_USERDATA = 6;
const CHAIN_NAME = 3;
const RULE_CHAIN = 2;
const RULE_EXPRESSIONS = 4;
const ELEMENTS = 3;
const ELEMENT_EXPIRATION = 5;

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Anonymous chains are numbered over the whole host, so they are told apart by the order of their appearance. */
class ChainNumbers {
  readonly #names = new Map<string, string>();

  of(value: Uint8Array): string {
    const name = Buffer.from(value).toString('latin1').replace(/\0$/, '');
    if (!/^__chain\d+$/.test(name)) return name;
    const known = this.#names.get(name) ?? `anonymous ${this.#names.size}`;
    this.#names.set(name, known);
    return known;
  }
}

/** A verdict's chain is the one name of varying length inside an expression: immediate, data, verdict, chain. */
function expressions(value: Uint8Array, chains: ChainNumbers): string {
  const dig = (bytes: Uint8Array, path: readonly number[]): string =>
    parseAttributes(bytes)
      .map((attribute) => {
        const inside = `${attribute.type}=`;
        if (attribute.type !== path[0]) return inside + hex(attribute.value);
        return (
          inside +
          (path.length === 1 ? chains.of(attribute.value) : `{${dig(attribute.value, path.slice(1))}}`)
        );
      })
      .join(' ');
  return parseAttributes(value)
    .map((entry) => {
      const isImmediate = Buffer.from(entry.value).includes('immediate\0');
      return `[${isImmediate ? dig(entry.value, [2, 2, 2, 2]) : hex(entry.value)}]`;
    })
    .join('');
}

/** A set's elements, sorted: the kernel walks a hash in an order of its own. */
function elements(value: Uint8Array): string[] {
  return parseAttributes(value)
    .map((element) =>
      parseAttributes(element.value)
        .filter(({ type }) => type !== ELEMENT_EXPIRATION)
        .map((attribute) => `${attribute.type}=${hex(attribute.value)}`)
        .join(' '),
    )
    .sort();
}

/** nft's own entries of a table's user data: types below 128. tapwall's record stands behind them. */
function ownUserdata(value: Uint8Array): string {
  let text = '';
  for (let offset = 0; offset < value.length; offset += 2 + (value[offset + 1] ?? 0)) {
    const end = offset + 2 + (value[offset + 1] ?? 0);
    if ((value[offset] ?? 0) < 128) text += hex(value.subarray(offset, end));
  }
  return text;
}

export interface StateOptions {
  /** Gives a table's name as its user wrote it. */
  nameOf(table: string): string;
  /** True leaves a table's comment away, for tables to which tapwall gave one. */
  withoutComment: boolean;
  /** True leaves away the chains in which tapwall counts what passes a device's own tables, and that a table has them. */
  withoutPassed?: boolean;
}

/** What tapwall's own chain in a device's table is called: nobody else gives a chain a name that begins so. */
const PASSED = /^3 .* name=tapwall\.passed\.(?:ingress|egress) /;

/** Tables' lines with what is in them counted without chains that are left out (NFTA_TABLE_USE). */
function withoutPassedChains(lines: readonly string[]): string[] {
  const tableIn = (line: string) => / table=(\S+)/.exec(line)?.[1];
  const left = lines.filter((line) => PASSED.test(line)).map(tableIn);
  return lines
    .filter((line) => !PASSED.test(line))
    .map((line) => {
      if (!line.startsWith('0 ')) return line;
      const count = left.filter((table) => table === tableIn(line)).length;
      const lessen = (use: string) => (Number.parseInt(use, 16) - count).toString(16).padStart(8, '0');
      return line.replace(/ 3=([0-9a-f]{8})/, (_, use: string) => ` 3=${lessen(use)}`);
    });
}

export function kernelState(
  netfilter: NetlinkSocket,
  { nameOf, withoutComment, withoutPassed = false }: StateOptions,
): string[] {
  const lines: string[] = [];
  const sets = new Map<string, string[]>();
  const chains = new ChainNumbers();
  const bytes = Buffer.concat(
    dumpRuleset(netfilter).map(({ type, payload }) => {
      const message = Buffer.alloc(16 + payload.length + (-payload.length & 3));
      message.writeUInt32LE(16 + payload.length, 0);
      message.writeUInt16LE(type, 4);
      message.set(payload, 16);
      return message;
    }),
  );
  for (const { type, payload } of parseMessages(bytes)) {
    const operation = type & 0xff;
    const parts: string[] = [];
    for (const attribute of parseAttributes(payload.subarray(4))) {
      if (NUMBERED[operation]?.includes(attribute.type)) continue;
      if (attribute.type === 1) {
        parts.push(`table=${nameOf(Buffer.from(attribute.value).toString('latin1').replace(/\0$/, ''))}`);
      } else if (operation === NEWTABLE && attribute.type === TABLE_USERDATA) {
        const own = withoutComment ? '' : ownUserdata(attribute.value);
        if (own !== '') parts.push(`${attribute.type}=${own}`);
      } else if (operation === NEWCHAIN && attribute.type === CHAIN_NAME) {
        parts.push(`name=${chains.of(attribute.value)}`);
      } else if (operation === NEWRULE && attribute.type === RULE_CHAIN) {
        parts.push(`chain=${chains.of(attribute.value)}`);
      } else if (operation === NEWRULE && attribute.type === RULE_EXPRESSIONS) {
        parts.push(`expressions=${expressions(attribute.value, chains)}`);
      } else if (operation === NEWSETELEM && attribute.type === ELEMENTS) {
        const key = parts.join(' ');
        sets.set(key, [...(sets.get(key) ?? []), ...elements(attribute.value)].sort());
      } else {
        parts.push(`${attribute.type}=${hex(attribute.value)}`);
      }
    }
    if (operation !== NEWSETELEM) lines.push(`${operation} family ${payload[0]} ${parts.join(' ')}`);
  }
  for (const [key, list] of sets) lines.push(`elements ${key}`, ...list.map((element) => `  ${element}`));
  return withoutPassed ? withoutPassedChains(lines) : lines;
}
