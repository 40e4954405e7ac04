import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '#src/demo/lab.js';
import { MOST_LANES } from '#src/policy/lane.js';
import { startAgent } from './agent.js';
import type { Device } from './ruleset.js';
import { handWritten, type SharedOptions, shared } from './ruleset.js';

/** One way in which a device may be filtered. */
export interface Contender {
  name: string;
  /** How the report calls it. */
  title: string;
  /** Puts the filter there, for this one device. @returns what ends it, where more is to be ended than the lab. */
  install(
    lab: Lab,
    device: Device & { index: number },
    folder: string,
  ): Promise<(() => Promise<void>) | undefined>;
}

const MANY_DEVICES = 4_000;
export const POLICY_COUNTS = [1, 4, 16, 64, 256];

/** Loads nft text into a lab's host. */
function loadText(lab: Lab, text: string, folder: string): void {
  const file = join(folder, 'contender.nft');
  writeFileSync(file, text);
  const args = [`--net=${lab.namespacePath}`, 'nft', '-f', file];
  const { status, stderr } = spawnSync('nsenter', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`nft refuses the filter: ${stderr}`);
}

/** Each has a table of its own, hooked to its own device alone, so that all can stand at once. */
function fromText(name: string, title: string, text: (table: string, device: Device) => string): Contender {
  const table = `bench_${name.replaceAll('-', '_')}`;
  return {
    name,
    title,
    install: async (lab, device, folder) => {
      loadText(lab, text(table, device), folder);
      return undefined;
    },
  };
}

/** What tapwall's table comes to, as nft text: to take it apart, and to try it otherwise. */
function structure(name: string, title: string, options: SharedOptions): Contender {
  return fromText(name, title, (table, device) => shared(table, device, options));
}

/** The agent itself, with so many devices admitted, and so many policies of which they have the last. */
function tapwall(name: string, title: string, counts: { devices: number; policies: number }): Contender {
  return { name, title, install: (lab, device, folder) => startAgent(lab, device, folder, counts) };
}

/** Those of a user who has just one, and of one who has so many that frames find them by marks. */
const MARKED_POLICIES = MOST_LANES + 1;

/** How much it costs to be filtered by tapwall. */
export const OVERHEAD: readonly Contender[] = [
  { name: 'none', title: 'no filter', install: async () => undefined },
  fromText('by-hand', 'nft chain, written by hand, with the same rules', handWritten),
  fromText('by-hand-counted', 'the same, with a counter in each rule', (table, device) =>
    handWritten(table, device, 'counted'),
  ),
  fromText('by-hand-simple', 'the same, with a simpler guard against fragments', (table, device) =>
    handWritten(table, device, 'simple'),
  ),
  tapwall('tapwall', 'tapwall, 1 device', { devices: 1, policies: 1 }),
  tapwall('tapwall-many', `tapwall, ${MANY_DEVICES} devices`, { devices: MANY_DEVICES, policies: 1 }),
  tapwall('tapwall-marked', `tapwall, 1 device, ${MARKED_POLICIES} policies`, {
    devices: 1,
    policies: MARKED_POLICIES,
  }),
];

/** How much it costs to find the policy, among so many. */
export const LOOKUPS: readonly Contender[] = POLICY_COUNTS.flatMap((policies) => [
  structure(`mark-${policies}`, `mark map and verdict map, ${policies}`, { lookup: 'mark', policies }),
  structure(`lane-${policies}`, `set and goto per policy, ${policies}`, { lookup: 'lane', policies }),
]);

const ONE = { lookup: 'lane', policies: 1 } as const;

/** tapwall with parts of it done otherwise, or not at all: where its time goes. */
export const PARTS: readonly Contender[] = [
  structure('uncounted', 'tapwall, nothing counted', { ...ONE, counting: 'none' }),
  structure('dynamic', 'tapwall, counted in elements that frames make', { ...ONE, counting: 'dynamic' }),
  structure('growing', 'tapwall, sets without a size', { ...ONE, growing: true }),
  structure('mac-apart', 'tapwall, the MAC compared by a rule of its own', { ...ONE, macApart: true }),
  structure('in-base', 'tapwall, the policy found in the base chain', { ...ONE, inBase: true }),
  structure('marked', 'tapwall, the policy found by its mark', { ...ONE, lookup: 'mark' }),
  structure('marked-growing-dynamic', 'tapwall, by marks, sets without a size, frames make the counters', {
    lookup: 'mark',
    policies: 1,
    growing: true,
    counting: 'dynamic',
  }),
];
