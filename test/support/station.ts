/** Frames between the stations of a lab, and waiting for what an agent tells. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentEvent } from '#src/agent/event.js';
import { ETH_P_IP, ethernet, udp } from '#src/demo/frame.js';
import { observe, type Shot } from '#src/demo/observation.js';
import type { Tap } from '#src/demo/tap.js';

let nextId = 1;

export interface PacketOptions {
  source?: string;
  destination?: string;
  /** Destination MAC, when it is not the receiver's. */
  to?: string;
  tags?: number[];
}

/** A UDP packet from one tap to another, with an id that nothing else carries. */
export function packet(from: Tap, to: Tap, options: PacketOptions = {}): Shot {
  const id = `<test-frame-${nextId++}>`;
  const { source = '198.51.100.1', destination = '198.51.100.2', tags = [] } = options;
  const payload = udp({ from: source, to: destination, data: id });
  return {
    id,
    from,
    to,
    frame: ethernet({ from: from.mac, to: options.to ?? to.mac, type: ETH_P_IP, payload, tags }),
  };
}

/** Sends packets and says of each, in order, whether it arrived. */
export async function fates(shots: Shot[]): Promise<boolean[]> {
  const arrived = await observe(shots);
  return shots.map(({ id }) => arrived.has(id));
}

export async function passes(shot: Shot): Promise<boolean> {
  return (await fates([shot]))[0] === true;
}

/** Generous, since only a failure reaches it. */
const DEADLINE_MS = 20_000;

export async function until(
  what: string,
  condition: () => boolean,
  deadlineMs: number = DEADLINE_MS,
): Promise<void> {
  for (const end = Date.now() + deadlineMs; !condition(); await sleep(2)) {
    assert.ok(Date.now() < end, `it did not come to this in ${deadlineMs} ms: ${what}`);
  }
}

/** For what runs for hours: whoever takes thousands of links away holds the whole kernel's lock on links for long. */
export const PATIENCE_MS = 120_000;

/** Collects an agent's events. */
export class EventLog {
  readonly events: AgentEvent[] = [];
  readonly add = (event: AgentEvent) => {
    this.events.push(event);
  };

  of<K extends AgentEvent['event']>(kind: K): Extract<AgentEvent, { event: K }>[] {
    return this.events.filter((event): event is Extract<AgentEvent, { event: K }> => event.event === kind);
  }

  attachments(device: string) {
    return this.of('attached').filter((event) => event.device === device);
  }

  async attached(device: string, times = 1): Promise<void> {
    await until(`${device} attached ${times} times`, () => this.attachments(device).length >= times);
  }
}
