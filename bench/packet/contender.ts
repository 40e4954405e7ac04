import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '#src/demo/lab.js';
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

/** The agent itself, with so many devices admitted. */
function tapwall(name: string, title: string, devices: number): Contender {
  return { name, title, install: (lab, device, folder) => startAgent(lab, device, folder, devices) };
}

/** How much it costs to be filtered by tapwall. */
export const OVERHEAD: readonly Contender[] = [
  { name: 'none', title: 'no filter', install: async () => undefined },
  fromText('by-hand', 'nft chain, written by hand', handWritten),
  fromText('by-hand-counted', 'the same, with a counter in each rule', (table, device) =>
    handWritten(table, device, true),
  ),
  tapwall('tapwall', 'tapwall, 1 device', 1),
  tapwall('tapwall-many', `tapwall, ${MANY_DEVICES} devices`, MANY_DEVICES),
];

/** How much it costs to find the policy, among so many. */
export const LOOKUPS: readonly Contender[] = POLICY_COUNTS.flatMap((policies) => [
  structure(`mark-${policies}`, `mark map and verdict map, ${policies}`, {
    lookup: 'mark',
    policies,
    devices: 1,
  }),
  structure(`members-${policies}`, `set and goto per policy, ${policies}`, {
    lookup: 'members',
    policies,
    devices: 1,
  }),
]);

const ONE = { lookup: 'mark', policies: 1, devices: 1 } as const;

/** tapwall with parts of it done otherwise, or not at all: where its time goes. */
export const PARTS: readonly Contender[] = [
  structure('uncounted', 'tapwall, nothing counted', { ...ONE, counting: 'none' }),
  structure('preset', 'tapwall, counted in elements made beforehand', { ...ONE, counting: 'preset' }),
  structure('mapped', 'tapwall, counted in the elements of the map of devices', { ...ONE, counting: 'map' }),
  structure('inlined', 'tapwall, guards and rules in one chain', { ...ONE, inlined: true }),
  structure('inlined-mapped', 'tapwall, in one chain, counted in the map of devices', {
    ...ONE,
    inlined: true,
    counting: 'map',
  }),
  structure('catch-all', 'tapwall, mark 0 from the map of devices', { ...ONE, catchAll: true }),
  structure('catch-all-mapped', 'tapwall, mark 0 from the map of devices, counted in it', {
    ...ONE,
    catchAll: true,
    counting: 'map',
  }),
  structure('catch-all-inlined-mapped', 'tapwall, mark 0 from the map, counted in it, in one chain', {
    ...ONE,
    catchAll: true,
    inlined: true,
    counting: 'map',
  }),
  structure('members-mapped', 'tapwall, a set and goto per policy, counted in the set', {
    ...ONE,
    lookup: 'members',
    counting: 'map',
  }),
  structure(
    'members-inlined-mapped',
    'tapwall, a set and goto per policy, counted in the set, in one chain',
    {
      ...ONE,
      lookup: 'members',
      inlined: true,
      counting: 'map',
    },
  ),
];
