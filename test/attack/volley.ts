import { setTimeout as sleep } from 'node:timers/promises';
import type { Tap } from '#src/demo/tap.js';
import type { AttackFrame, Fate } from './corpus.js';

/** A tap's queue holds 500 frames; this many never fill it. */
const VOLLEY = 32;
/** How long nothing must come before what has not come counts as dropped. Frames take microseconds. */
const QUIET_MS = 40;
/** How long a frame is waited for that should come, on a machine that does other work. */
const PATIENCE_MS = 2_000;
const POLL_MS = 2;

export interface Stations {
  guest: Tap;
  world: Tap;
}

/** A frame is known again by all of its bytes: neither macvtap nor the cable changes any. */
function keyOf(direction: AttackFrame['direction'], hex: string): string {
  return `${direction} ${hex}`;
}

/**
 * Sends frames in volleys and sees which of them reach the other end, by id. One that arrives when its volley is over
 * counts all the same, as long as any is being sent.
 */
export class Range {
  readonly #stations: Stations;
  readonly #ids: ReadonlyMap<string, string>;
  readonly #arrived = new Set<string>();

  constructor(stations: Stations, frames: readonly AttackFrame[]) {
    this.#stations = stations;
    this.#ids = new Map(frames.map(({ id, direction, hex }) => [keyOf(direction, hex), id]));
  }

  /** @returns the ids of all that have arrived so far. */
  async send(frames: readonly AttackFrame[]): Promise<ReadonlySet<string>> {
    for (let start = 0; start < frames.length; start += VOLLEY) {
      await this.#sendVolley(frames.slice(start, start + VOLLEY));
    }
    return this.#arrived;
  }

  async #sendVolley(volley: readonly AttackFrame[]): Promise<void> {
    this.#collect();
    for (const { direction, hex } of volley) {
      const from = direction === 'egress' ? this.#stations.guest : this.#stations.world;
      from.send(Buffer.from(hex, 'hex'));
    }
    const isAwaited = ({ id, expected }: AttackFrame) => expected === 'passes' && !this.#arrived.has(id);
    let quiet = 0;
    for (let waited = 0; waited < PATIENCE_MS && quiet < QUIET_MS; waited += POLL_MS) {
      if (this.#collect() || volley.some(isAwaited)) quiet = 0;
      else quiet += POLL_MS;
      await sleep(POLL_MS);
    }
  }

  /** Takes what has come to either end; whether any of it was of the corpus. */
  #collect(): boolean {
    const { guest, world } = this.#stations;
    let found = false;
    for (const [direction, tap] of [['egress', world] as const, ['ingress', guest] as const]) {
      for (let frame = tap.receive(); frame; frame = tap.receive()) {
        // What is not of the corpus is the host's own: router solicitations of links that come up, say.
        const id = this.#ids.get(keyOf(direction, frame.toString('hex')));
        if (id === undefined) continue;
        this.#arrived.add(id);
        found = true;
      }
    }
    return found;
  }
}

export function fateOf(frame: AttackFrame, arrived: ReadonlySet<string>): Fate {
  return arrived.has(frame.id) ? 'passes' : 'dropped';
}
