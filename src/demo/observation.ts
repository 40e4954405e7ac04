import { setTimeout as sleep } from 'node:timers/promises';
import type { Tap } from './tap.js';

/** A frame whose fate is to be seen. */
export interface Shot {
  id: string;
  from: Tap;
  to: Tap;
  frame: Uint8Array;
}

/** How long nothing must arrive before what has not arrived counts as dropped. Frames take microseconds. */
const QUIET_MS = 150;
const POLL_MS = 2;

/**
 * Sends frames and sees which of them arrive where they should. Other traffic, such as the router solicitations of
 * links that come up, is passed over.
 * @returns the ids of those that arrived.
 */
export async function observe(shots: readonly Shot[]): Promise<Set<string>> {
  const receivers = new Set(shots.map(({ to }) => to));
  for (const receiver of receivers) while (receiver.receive());
  for (const { from, frame } of shots) from.send(frame);
  const arrived = new Set<string>();
  for (let quiet = 0; quiet < QUIET_MS && arrived.size < shots.length; quiet += POLL_MS) {
    for (const receiver of receivers) {
      for (let frame = receiver.receive(); frame; frame = receiver.receive()) {
        const shot = shots.find(({ id, to }) => to === receiver && frame?.includes(id));
        if (shot && !arrived.has(shot.id)) {
          arrived.add(shot.id);
          quiet = 0;
        }
      }
    }
    await sleep(POLL_MS);
  }
  return arrived;
}
