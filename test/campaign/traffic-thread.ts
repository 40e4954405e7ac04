/** The thread that sends the campaign's frames without a pause, and looks at each that arrives. */
import { readSync, writeSync } from 'node:fs';
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import {
  Board,
  CLASSES,
  type Leak,
  type SenderCommand,
  STAMP_LENGTH,
  STAMP_MAGIC,
  WAYS,
} from './traffic-board.js';

/** struct virtio_net_hdr, which a tap that was just opened wants before each frame (drivers/net/tap.c). */
const VIRTIO_HEADER = 10;
/** Others have processors to use as well. */
const PAUSE_MS = 1;
const FORBIDDEN = 0;

interface Start {
  memory: SharedArrayBuffer;
  world: number;
  commands: MessagePort;
  leaks: MessagePort;
  /** What tells this campaign's frames from another's. */
  campaign: number;
}

interface Served {
  descriptor: number;
  /** By class and way. */
  frames: Buffer[];
}

const { memory, world, commands, leaks, campaign } = workerData as Start;
const board = new Board(memory);
const served = new Map<number, Served>();
const incoming = Buffer.alloc(VIRTIO_HEADER + 65_550);

/** `undefined` when nothing is queued, or the device is gone. */
function read(descriptor: number): number | undefined {
  try {
    return readSync(descriptor, incoming);
  } catch {
    return undefined;
  }
}

/** @param own the guest whose tap it is; undefined for the world's. */
function drain(descriptor: number, own: number | undefined): void {
  for (let length = read(descriptor); length !== undefined && length > 0; length = read(descriptor)) {
    look(incoming.subarray(VIRTIO_HEADER, length), own);
  }
}

function look(frame: Buffer, own: number | undefined): void {
  const stamp = frame.subarray(Math.max(0, frame.length - STAMP_LENGTH));
  if (stamp.length < STAMP_LENGTH || stamp.readUInt32BE(0) !== STAMP_MAGIC) return;
  if (stamp.readUInt32BE(4) !== campaign) return;
  const [slot = 0, kind = 0, way = 0, window = 0] = stamp.subarray(8, 12);
  const epoch = stamp.readUInt32BE(12);
  // One end sees what comes back, or goes to another guest.
  if (own === undefined ? WAYS[way] !== 'egress' : WAYS[way] !== 'ingress' || own !== slot) return;
  board.notePassed(slot, kind, way, epoch);
  if (window > 1) board.countPassedIn(window - 1);
  if (window !== 0) return;
  board.countLeak();
  const leak: Leak = { slot, class: CLASSES[kind] ?? 'forbidden', way: WAYS[way] ?? 'ingress', epoch };
  leaks.postMessage(leak);
}

/** In the stamp: 0 for no window, 1 for a frame that may pass, and one more than the window's number. */
function windowFor(slot: number, kind: number): number {
  if (kind === FORBIDDEN) {
    const window = board.windowOf(slot, 'forbidden');
    return window === 0 ? 0 : window + 1;
  }
  return board.windowOf(slot, 'others') === 0 ? 0 : 1;
}

function send(slot: number, { descriptor, frames }: Served): void {
  frames.forEach((frame, at) => {
    const stamp = frame.length - STAMP_LENGTH;
    frame.writeUInt8(windowFor(slot, at >> 1), stamp + 11);
    frame.writeUInt32BE(board.epoch, stamp + 12);
    try {
      writeSync(WAYS[at & 1] === 'egress' ? descriptor : world, frame);
      board.countSent(true);
    } catch {
      board.countSent(false);
    }
  });
}

/** @returns false at the end. */
function obey(): boolean {
  for (let next = receiveMessageOnPort(commands); next; next = receiveMessageOnPort(commands)) {
    const message = next.message as SenderCommand;
    if (message.command === 'end') return false;
    if (message.command === 'leave') served.delete(message.slot);
    else {
      const { slot, descriptor, frames } = message;
      served.set(slot, { descriptor, frames: frames.map((frame) => Buffer.from(frame)) });
    }
  }
  return true;
}

while (obey()) {
  for (const [slot, one] of served) send(slot, one);
  drain(world, undefined);
  for (const [slot, { descriptor }] of served) drain(descriptor, slot);
  board.countRound();
  board.rest(PAUSE_MS);
}
leaks.close();
