import { hrtime } from 'node:process';
import { ETH_P_IP, ethernet, udp } from '#src/demo/frame.js';
import { Lab } from '#src/demo/lab.js';
import type { Tap } from '#src/demo/tap.js';
import { linuxKernel } from '#src/kernel/linux.js';
import { showProgress } from '../progress.js';
import { type Random, shuffle } from '../random.js';
import type { Contender } from './contender.js';
import { Pump, type Pumped } from './pump.js';
import type { Direction } from './ruleset.js';

export interface PacketOptions {
  /** How long is measured, for each direction. */
  seconds: number;
  /** For files that nft reads. */
  folder: string;
  random: Random;
}

/** What one contender needed in one direction. */
export interface Measurement {
  contender: string;
  title: string;
  direction: Direction;
  /** Nanoseconds of processor time a frame, the mean of a turn, in the order in which they were measured. */
  samples: number[];
  /** Nanoseconds a frame by the clock, likewise. */
  elapsed: number[];
  /** Cycles a frame, likewise; empty where none are counted. */
  cycles: number[];
}

/** So many frames take some ten milliseconds: long for the clock, short for what else the machine does. */
const FRAMES_PER_TURN = 4_096;
const WARM_UP_TURNS = 2;
/** However slow the machine, a median needs some. */
const FEWEST_ROUNDS = 5;
/** For the check that a filter does what it should; a tap's queue can hold them. */
const CHECKED_FRAMES = 100;

const GUEST_ADDRESS = '198.51.100.10';
/** What no rule names, so that all of them are tried. */
const PASSING = '203.0.113.1';
const FORBIDDEN = '192.168.7.7';

/** A host for each contender: what one puts there, such as the one table of an agent, is in no other's way. */
interface Lane {
  contender: Contender;
  lab: Lab;
  guest: Tap;
  world: Tap;
  measurements: Record<Direction, Measurement>;
}

function macOf(number: number): string {
  return `52:54:00:00:00:${(number + 16).toString(16)}`;
}

function openLane(contender: Contender, number: number): Lane {
  const lab = new Lab(linuxKernel());
  const guest = lab.addGuest({ name: `macvtap${number}`, mac: macOf(number) });
  const measurement = (direction: Direction): Measurement => ({
    contender: contender.name,
    title: contender.title,
    direction,
    samples: [],
    elapsed: [],
    cycles: [],
  });
  return {
    contender,
    lab,
    guest,
    world: lab.world(),
    measurements: { egress: measurement('egress'), ingress: measurement('ingress') },
  };
}

/** The frame of a lane, with the other end's address. */
function frameOf({ guest, world }: Lane, direction: Direction, other: string): Uint8Array {
  const isEgress = direction === 'egress';
  const [from, to] = isEgress ? [guest.mac, world.mac] : [world.mac, guest.mac];
  const addresses = isEgress ? { from: GUEST_ADDRESS, to: other } : { from: other, to: GUEST_ADDRESS };
  return ethernet({ from, to, type: ETH_P_IP, payload: udp({ ...addresses, data: 'x'.repeat(22) }) });
}

function pumpThrough(
  pump: Pump,
  lane: Lane,
  direction: Direction,
  other: string,
  count: number,
): Promise<Pumped> {
  const [from, to] = direction === 'egress' ? [lane.guest, lane.world] : [lane.world, lane.guest];
  return pump.run(from, to, count, frameOf(lane, direction, other));
}

/** @throws Error when a filter lets through what it should not, or not what it should: its cost would mean nothing. */
async function checkFilters(pump: Pump, lanes: readonly Lane[]): Promise<void> {
  for (const lane of lanes) {
    for (const direction of ['egress', 'ingress'] as const) {
      const { name, title } = lane.contender;
      for (const [other, expected] of [
        [PASSING, CHECKED_FRAMES],
        [FORBIDDEN, name === 'none' ? CHECKED_FRAMES : 0],
      ] as const) {
        const { received } = await pumpThrough(pump, lane, direction, other, CHECKED_FRAMES);
        if (received !== expected) {
          throw new Error(
            `${title}: of ${CHECKED_FRAMES} frames (${direction}, ${other}) ${received} arrived, not ${expected}`,
          );
        }
      }
    }
  }
}

async function takeTurn(pump: Pump, lane: Lane, direction: Direction): Promise<void> {
  const pumped = await pumpThrough(pump, lane, direction, PASSING, FRAMES_PER_TURN);
  if (pumped.received !== pumped.written) {
    throw new Error(
      `${lane.contender.title}: of ${pumped.written} frames (${direction}) ${pumped.received} arrived`,
    );
  }
  const { samples, elapsed, cycles } = lane.measurements[direction];
  samples.push(pumped.processor / pumped.written);
  elapsed.push(pumped.nanoseconds / pumped.written);
  if (pumped.cycles !== undefined) cycles.push(pumped.cycles / pumped.written);
}

async function measure(
  pump: Pump,
  lanes: readonly Lane[],
  direction: Direction,
  { seconds, random }: PacketOptions,
): Promise<void> {
  for (let turn = 0; turn < WARM_UP_TURNS; turn++) {
    for (const lane of lanes) {
      await pumpThrough(pump, lane, direction, PASSING, FRAMES_PER_TURN);
    }
  }
  const end = hrtime.bigint() + BigInt(Math.round(seconds * 1e9));
  for (let round = 0; round < FEWEST_ROUNDS || hrtime.bigint() < end; round++) {
    showProgress(`${direction}: round ${round}`);
    // In another order each time, so that what the machine does meanwhile meets all alike.
    for (const lane of shuffle(lanes, random)) await takeTurn(pump, lane, direction);
  }
}

/** Sends frames through one device of each contender, in turns. */
export async function runPacket(
  contenders: readonly Contender[],
  options: PacketOptions,
): Promise<Measurement[]> {
  const lanes: Lane[] = [];
  const ends: (() => Promise<void>)[] = [];
  let pump: Pump | undefined;
  try {
    for (const [number, contender] of contenders.entries()) {
      showProgress(`installing: ${contender.title}`);
      const lane = openLane(contender, number);
      lanes.push(lane);
      const end = await contender.install(lane.lab, lane.guest, options.folder);
      if (end) ends.push(end);
    }
    pump = await Pump.start(lanes.flatMap(({ guest, world }) => [guest, world]));
    await checkFilters(pump, lanes);
    for (const direction of ['egress', 'ingress'] as const) {
      await measure(pump, lanes, direction, options);
    }
    return lanes.flatMap(({ measurements }) => [measurements.egress, measurements.ingress]);
  } finally {
    pump?.close();
    for (const end of ends) await end();
    for (const { lab } of lanes) lab.close();
  }
}
