import { NF_NETDEV_INGRESS } from '../nftables/constants.js';
import { encodeSegment, type Segment } from '../nftables/transaction.js';
import { deleteBase, sharedSegment } from '../program/change.js';
import { createBase, DIRECTIONS, deviceChain, type Meanwhile, moreChain } from '../program/hook.js';
import type { Device } from './device.js';
import type { Plan } from './plan.js';
import type { Roster } from './roster.js';

/** What moves a device's own hooks in one direction, and what to note of it then. */
export interface HookMove {
  direction: number;
  segments: Segment[];
  /** In force. */
  apply(): void;
  /** Refused. */
  revert(): void;
}

export interface HookOptions {
  /** The device is gone. */
  gone: boolean;
  meanwhile: Meanwhile;
  roster: Roster;
  /** Whether another device has a name by now, and its hooks in the same chain. */
  isTaken(name: string, chain: string, word: string): boolean;
}

const NO_MOVES: readonly HookMove[] = [];

/**
 * Takes the hooks from where they are and places them where they should be.
 * @param hook the name to stand on; undefined for no hooks.
 */
export function planHooks(
  plan: Plan,
  device: Device,
  hook: string | undefined,
  options: HookOptions,
): readonly HookMove[] {
  if (hook === undefined && device.hooks.size === 0) return NO_MOVES;
  const moves: HookMove[] = [];
  for (const { direction, word } of DIRECTIONS) {
    const base = plan.blueprint.bases.get(direction);
    if (!base || device.hooks.get(direction) === hook) continue;
    const undo: (() => void)[] = [];
    const done: (() => void)[] = [];
    const segments =
      plan.placement === 'chain'
        ? ownChain(plan, device, direction, word, hook, options)
        : moreSegments(plan, device, direction, word, hook, options, { undo, done });
    moves.push({
      direction,
      segments,
      apply: () => {
        if (hook === undefined) device.hooks.delete(direction);
        else device.hooks.set(direction, hook);
        for (const one of done) one();
      },
      revert: () => {
        for (const one of undo) one();
      },
    });
  }
  return moves;
}

function ownChain(
  { blueprint, keepsHooks }: Plan,
  device: Device,
  direction: number,
  word: string,
  hook: string | undefined,
  { gone, meanwhile }: HookOptions,
): Segment[] {
  const isThere = device.hooks.get(direction) !== undefined;
  // Before 6.16 a hook goes with its device, and its chain with it; and it follows its device to another name.
  if (isThere && !keepsHooks && (gone || hook !== undefined)) return [];
  const segments: Segment[] = [];
  const name = deviceChain(word, device.link.index);
  if (isThere) segments.push(sharedSegment(deleteBase(name)));
  const base = blueprint.bases.get(direction);
  if (base && hook !== undefined) {
    segments.push(encodeSegment(createBase(name, base, [{ name: hook }], meanwhile)));
  }
  return segments;
}

function moreSegments(
  { blueprint, keepsHooks }: Plan,
  device: Device,
  direction: number,
  word: string,
  hook: string | undefined,
  { gone, meanwhile, roster, isTaken }: HookOptions,
  { undo, done }: { undo: (() => void)[]; done: (() => void)[] },
): Segment[] {
  const base = blueprint.bases.get(direction);
  if (!base) return [];
  const present = device.hooks.get(direction);
  const chain = moreChain(word, device.link.index);
  if (!keepsHooks && present !== undefined) {
    // Then hooks go with their device, and follow it to another name.
    if (gone) roster.forget(chain);
    if (gone || hook !== undefined) return [];
  }
  const segments: Segment[] = [];
  if (hook !== undefined) {
    // One leaves and one comes: the chain stays whoever was alone in it.
    segments.push(roster.join(chain, base, hook, { staysAlone: keepsHooks, meanwhile }));
    undo.push(() => roster.forget(chain));
    done.push(() => roster.confirm(chain));
  }
  if (present !== undefined) {
    const name = keepsHooks ? present : device.link.name;
    const left = roster.leave(chain, base, name, isTaken(name, chain, word));
    if (left) segments.push(left);
    undo.push(() => roster.restore(chain));
  }
  return segments;
}

/** Whether a direction's hooks are moved in the first transaction of a step. */
export function isFirst(plan: Plan, direction: number): boolean {
  return plan.placement === 'chain' || direction === NF_NETDEV_INGRESS;
}
