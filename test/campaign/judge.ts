/**
 * Says what the kernel holds that it should not, and what it lacks. What all devices share is compared with what an agent
 * puts into an empty namespace; tables of devices' own with what nft puts there; and elements with the campaign's
 * own reading of the bindings. Nothing here uses the code by which the agent compares.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Agent } from '#src/agent/agent.js';
import { loadConfiguration } from '#src/config/load.js';
import type { NamespaceHandle } from '#src/kernel/kernel.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import { parseAttributes } from '#src/netlink/attribute.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { withFiles } from '../support/agent.js';
import { kernel, runIn } from '../support/host.js';
import { kernelState } from '../support/kernel-state.js';
import { type Guest, isCovered, isHookedInAdvance } from './guests.js';
import { addressOf, filesOf, macOf, POLICIES, type PolicyName, type Rules, verdictOf } from './rules.js';

/** NFT_TABLE_F_DORMANT of linux/netfilter/nf_tables.h: a table that sleeps filters nothing. */
const DORMANT = 1;
/** Of a chain: how it is hooked. */
const HOOK = / 4=([0-9a-f]*)/;

/** One table, line by line, with elements apart. */
interface Contents {
  lines: string[];
  /** By the set's name. */
  elements: Map<string, string[]>;
}

function hexText(hex: string): string {
  return Buffer.from(hex, 'hex').toString('latin1').replace(/\0$/, '');
}

/** Rules keep their order within their chain; everything else has none. */
function tablesOf(state: readonly string[]): Map<string, Contents> {
  const tables = new Map<string, Contents>();
  const rules = new Map<string, number>();
  let elements: string[] = [];
  for (const line of state) {
    if (line.startsWith('  ')) {
      elements.push(line.trim());
      continue;
    }
    const name = / table=(\S+)/.exec(line)?.[1] ?? '';
    const known = tables.get(name) ?? { lines: [], elements: new Map<string, string[]>() };
    tables.set(name, known);
    if (line.startsWith('elements ')) {
      elements = [];
      known.elements.set(hexText(/ 2=([0-9a-f]*)/.exec(line)?.[1] ?? ''), elements);
    } else if (line.startsWith('6 ')) {
      const chain = `${name} ${/ chain=(.*?) expressions=/.exec(line)?.[1]}`;
      const at = (rules.get(chain) ?? 0) + 1;
      rules.set(chain, at);
      known.lines.push(`rule ${at} of ${line}`);
    } else {
      known.lines.push(line.startsWith('0 ') ? withoutOwner(line) : line);
    }
  }
  return tables;
}

/** A table's line without whose it is and how much is in it. */
function withoutOwner(line: string): string {
  const flags = Number.parseInt(/ 2=([0-9a-f]{8})/.exec(line)?.[1] ?? '0', 16);
  return `${line.replace(/ [237]=[0-9a-f]*/g, '')}${flags & DORMANT ? ' dormant' : ''}`;
}

/** The names that a base chain's line hooks. */
function hookedNames(line: string): string[] {
  const hook = HOOK.exec(line)?.[1];
  if (hook === undefined) return [];
  const [devices] = parseAttributes(Buffer.from(hook, 'hex')).filter(({ type }) => type === 4);
  if (!devices) return [];
  return parseAttributes(devices.value).map(({ value }) => hexText(Buffer.from(value).toString('hex')));
}

/** Chains that hook single devices, and their rules. */
const OWN_CHAIN =
  /^(?:rule \d+ of )?[36] family 5 table=tapwall (?:name|chain)=(ingress|egress)\.(?:more|device)\.\d+ /;

/** Where each mark leads, for one direction. */
function chainsByMark(elements: readonly string[]): Map<string, string> {
  const chains = new Map<string, string>();
  for (const element of elements) {
    const [, mark = '', data = ''] = /^1=08000100([0-9a-f]{8}) 2=([0-9a-f]*)/.exec(element) ?? [];
    const [verdict] = parseAttributes(Buffer.from(data, 'hex'));
    const chain = verdict && parseAttributes(verdict.value).find(({ type }) => type === 2);
    chains.set(mark, chain ? hexText(Buffer.from(chain.value).toString('hex')) : '');
  }
  return chains;
}

function indexHex(index: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(index);
  return bytes.toString('hex');
}

/** EUI-64, RFC 4291. */
function linkLocal(mac: string): string {
  const bytes = mac.split(':').map((byte) => Number.parseInt(byte, 16));
  const [first = 0, second = 0, third = 0, ...rest] = bytes;
  return Buffer.from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, first ^ 2, second, third, 0xff, 0xfe, ...rest]).toString(
    'hex',
  );
}

/** Whether frames find their policy by sets of its devices. */
function hasLanes({ policies }: Rules): boolean {
  return policies.length <= 4;
}

/** What a set should have for a guest, keys without their headers. */
function factsOf(rules: Rules, guest: Guest): Map<string, string[]> {
  const verdict = verdictOf(rules, guest);
  const facts = new Map<string, string[]>();
  if (!verdict || !isCovered(guest)) return facts;
  const index = indexHex(guest.index);
  const mac = guest.macId === undefined ? guest.mac : macOf(guest.macId);
  const guards = rules.guards[verdict.policy];
  const assigned = [`${index}${mac.replaceAll(':', '')}0000`];
  const hasLane = hasLanes(rules);
  if (hasLane) facts.set(`policy.${verdict.policy}.devices`, [index]);
  // No other guard of the campaign's compares MACs.
  if (guards.includes('mac')) {
    facts.set(hasLane ? `policy.${verdict.policy}.macs` : 'mac.assigned', assigned);
  }
  if (guards.includes('ip')) {
    const address = addressOf(guest.macId ?? -1)
      .split('.')
      .map(Number);
    facts.set('ip4.assigned', [`${index}${Buffer.from(address).toString('hex')}`]);
    facts.set('ip6.assigned', [`${index}${linkLocal(mac)}`]);
  }
  return facts;
}

export class Judge {
  readonly #rules: Rules;
  readonly #shared: Contents;
  readonly #files: Record<string, string>;
  readonly #own = new Map<string, Contents>();

  private constructor(rules: Rules, shared: Contents) {
    this.#rules = rules;
    this.#shared = shared;
    this.#files = filesOf(rules);
  }

  /** Each by its rules: to find out what they come to takes a second. */
  static readonly #known = new Map<string, Judge>();

  static async of(rules: Rules, namespaces: number): Promise<Judge> {
    const key = JSON.stringify([rules, namespaces > 1]);
    const judge = Judge.#known.get(key) ?? (await Judge.#make(rules, namespaces > 1));
    Judge.#known.set(key, judge);
    return judge;
  }

  /** Lets an agent start in an empty namespace, for what it puts there. */
  static async #make(rules: Rules, servesSeveral: boolean): Promise<Judge> {
    const namespace = kernel.createNamespace();
    try {
      const files = filesOf(rules);
      // The sets are of another size then. There is none of that name.
      const several = servesSeveral ? 'namespaces: [self, /nonexistent/namespace]\n' : '';
      files['tapwall.yaml'] = `${several}${files['tapwall.yaml']}`;
      const state = await withFiles(files, async (folder) => {
        const agent = await Agent.start(loadConfiguration(join(folder, 'tapwall.yaml')), { namespace });
        const found = readState(namespace);
        await agent.stop();
        return found;
      });
      const shared = tablesOf(state).get('tapwall');
      assert.ok(shared, 'the agent made no table');
      return new Judge(rules, shared);
    } finally {
      namespace.close();
    }
  }

  /** @returns what is wrong, line by line; nothing when all is as it should be. */
  check(namespace: NamespaceHandle, guests: readonly Guest[]): string[] {
    const tables = tablesOf(readState(namespace));
    const shared = tables.get('tapwall');
    if (!shared) return ['there is no shared table'];
    tables.delete('tapwall');
    const present = guests.filter(({ isElsewhere }) => !isElsewhere);
    return [
      ...this.#checkShared(shared),
      ...this.#checkHooks(shared, present),
      ...this.#checkElements(shared, present),
      ...this.#checkOwn(tables, present),
    ];
  }

  #checkShared(shared: Contents): string[] {
    const common = ({ lines }: Contents) => lines.filter((line) => !OWN_CHAIN.test(line)).map(withoutUse);
    return differences(common(this.#shared), common(shared));
  }

  #checkHooks({ lines }: Contents, guests: readonly Guest[]): string[] {
    const found: string[] = [];
    for (const line of lines) {
      const way = OWN_CHAIN.exec(line)?.[1];
      if (way !== undefined && line.startsWith('3 ')) {
        found.push(...hookedNames(line).map((name) => `${way} hook of its own on ${name}`));
      }
    }
    const wanted = guests
      .filter((guest) => isCovered(guest) && !isHookedInAdvance(this.#rules, guest.name))
      .flatMap(({ name }) => ['ingress', 'egress'].map((way) => `${way} hook of its own on ${name}`));
    return differences(wanted, found);
  }

  #checkElements({ elements }: Contents, guests: readonly Guest[]): string[] {
    const wrong: string[] = [];
    const marks = {
      ingress: chainsByMark(elements.get('policy.ingress') ?? []),
      egress: chainsByMark(elements.get('policy.egress') ?? []),
    };
    const covered = new Map(guests.filter(isCovered).map((guest) => [indexHex(guest.index), guest]));
    for (const [set, present] of elements) {
      const twin = this.#shared.elements.get(set) ?? [];
      if (set === 'policy.ingress' || set === 'policy.egress') {
        const targets = (list: readonly string[]) => [...chainsByMark(list).values()];
        wrong.push(...differences(targets(twin), targets(present), `${set}: `));
        continue;
      }
      const common = new Set(twin);
      wrong.push(...twin.filter((element) => !present.includes(element)).map((one) => `${set} lacks ${one}`));
      const own = present.filter((element) => !common.has(element));
      const isCounter = /\.(admitted(\.early)?|dropped\..*)$/.test(set);
      const keys = own.map((element) => /^1=[0-9a-f]{8}([0-9a-f]*)/.exec(element)?.[1] ?? element);
      for (const key of keys) {
        if (!covered.has(key.slice(0, 8))) wrong.push(`${set} has ${key} of no device`);
      }
      if (isCounter) continue;
      if (set === 'device.policy') {
        wrong.push(...this.#checkPolicies(own, covered, marks));
        continue;
      }
      const wanted = [...covered.values()].flatMap((guest) => factsOf(this.#rules, guest).get(set) ?? []);
      wrong.push(...differences(wanted, keys, `${set}: `));
    }
    return wrong;
  }

  #checkPolicies(
    own: readonly string[],
    covered: ReadonlyMap<string, Guest>,
    marks: Record<'ingress' | 'egress', Map<string, string>>,
  ): string[] {
    const found: string[] = [];
    for (const element of own) {
      const [, index = '', mark = ''] =
        /^1=08000100([0-9a-f]{8}) 2=08000100([0-9a-f]{8})/.exec(element) ?? [];
      const name = covered.get(index)?.name ?? index;
      found.push(`${name}: ${marks.ingress.get(mark)}, ${marks.egress.get(mark)}`);
    }
    const wanted: string[] = [];
    // Where policies have lanes, marks lead to them in a roundabout way.
    const byMark = hasLanes(this.#rules) ? '.marked' : '';
    for (const guest of covered.values()) {
      const policy = verdictOf(this.#rules, guest)?.policy;
      if (policy) {
        const [to, from] = ['ingress', 'egress'].map((way) => `policy.${policy}.${way}${byMark}`);
        wanted.push(`${guest.name}: ${to}, ${from}`);
      }
    }
    return differences(wanted, found);
  }

  #checkOwn(tables: ReadonlyMap<string, Contents>, guests: readonly Guest[]): string[] {
    const wrong: string[] = [];
    const wanted = new Map<string, Contents>();
    for (const guest of guests) {
      const policy = isCovered(guest) ? verdictOf(this.#rules, guest)?.policy : undefined;
      if (policy && POLICIES[policy].file) {
        wanted.set(`tapwall.${guest.index}.own`, this.#ownTable(policy, guest.name));
      }
    }
    wrong.push(...differences([...wanted.keys()], [...tables.keys()], 'table '));
    for (const [name, contents] of wanted) {
      const found = tables.get(name);
      // The record that tapwall writes into a table stands in its user data,
      const as = ({ lines }: Contents) =>
        lines
          // nor does nft make the chains that count what passes.
          .filter((line) => !/ name=tapwall\.passed\.(?:ingress|egress) /.test(line))
          .map((line) => withoutUse(line.replace(` table=${name}`, ' table=own')))
          .map((line) => (line.startsWith('0 ') ? line.replace(/ 6=[0-9a-f]*/, '') : line));
      if (found) wrong.push(...differences(as(contents), as(found), `${name}: `));
    }
    return wrong;
  }

  /** What nft makes of the policy's file for a device of that name. */
  #ownTable(policy: PolicyName, device: string): Contents {
    const key = `${policy} ${device}`;
    const known = this.#own.get(key);
    if (known) return known;
    const namespace = kernel.createNamespace();
    try {
      const file = `/dev/stdin`;
      const text = (this.#files[`${policy}.nft`] ?? '').replaceAll('$intf', `"${device}"`);
      const { status, stderr } = runIn(namespace, ['sh', '-c', `nft -f ${file} <<'END'\n${text}\nEND`]);
      assert.equal(status, 0, stderr);
      const contents = tablesOf(readState(namespace)).get('own');
      assert.ok(contents);
      this.#own.set(key, contents);
      return contents;
    } finally {
      namespace.close();
    }
  }
}

/**
 * Without how much uses or is in a chain or set, which differs with the devices, and the type of a set, which is where
 * the kernel has its code.
 */
function withoutUse(line: string): string {
  if (line.startsWith('9 ')) return line.replace(/ (19|20)=[0-9a-f]*/g, '');
  return line.startsWith('3 ') ? line.replace(/ 6=[0-9a-f]{8}/, '') : line;
}

function differences(wanted: readonly string[], found: readonly string[], what = ''): string[] {
  const count = (list: readonly string[]) => {
    const counts = new Map<string, number>();
    for (const one of list) counts.set(one, (counts.get(one) ?? 0) + 1);
    return counts;
  };
  const [expected, present] = [count(wanted), count(found)];
  const wrong: string[] = [];
  for (const [one, times] of expected) {
    if ((present.get(one) ?? 0) < times) wrong.push(`missing: ${what}${one}`);
  }
  for (const [one, times] of present) {
    if ((expected.get(one) ?? 0) < times) wrong.push(`too much: ${what}${one}`);
  }
  return wrong;
}

function readState(namespace: NamespaceHandle): string[] {
  const netfilter: NetlinkSocket = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
  try {
    return kernelState(netfilter, { nameOf: (table) => table, withoutComment: false });
  } finally {
    netfilter.close();
  }
}

/** The indexes of devices of which it's written somewhere which MAC they were first seen with. */
export function knownIn(namespace: NamespaceHandle): Set<number> {
  const tables = tablesOf(readState(namespace));
  const elements = tables.get('tapwall')?.elements.get('device.policy') ?? [];
  const own = [...tables.keys()].map((name) => Number(/^tapwall\.(\d+)\./.exec(name)?.[1] ?? 0));
  const admitted = elements.map((element) =>
    Buffer.from(element.slice('1=08000100'.length), 'hex').readUInt32LE(0),
  );
  return new Set([...admitted, ...own]);
}
