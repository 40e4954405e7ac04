import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { ETH_P_IP, ethernet, udp } from '#src/demo/frame.js';
import type { Tap } from '#src/demo/tap.js';
import { ALLOWED, DISPUTED, FORBIDDEN } from './rules.js';
import {
  Board,
  CLASSES,
  type Class,
  type Leak,
  type SenderCommand,
  STAMP_LENGTH,
  STAMP_MAGIC,
  WAYS,
  type Way,
} from './traffic-board.js';

const VIRTIO_HEADER = 10;
const ADDRESSES: Readonly<Record<Class, string>> = {
  forbidden: FORBIDDEN,
  disputed: DISPUTED,
  allowed: ALLOWED,
};
/** What is on its way when a window opens or closes has arrived after as many rounds of the sender's. */
const ROUNDS_ON_THE_WAY = 3;
const ROUND_LIMIT_MS = 60_000;

/** Whom frames are sent from and to. */
export interface Endpoint {
  slot: number;
  descriptor: number;
  /** What its frames come from, and what frames to it go to: a guest may have another by now. */
  source: string;
  destination: string;
  address: string;
}

/** Frames of every class, in both directions, for as long as the campaign lasts. */
export class Traffic {
  readonly board = new Board();
  readonly #world: Tap;
  readonly #campaign = randomBytes(4).readUInt32BE();
  readonly #worker: Worker;
  readonly #commands: MessagePort;
  readonly #leaks: MessagePort;

  constructor(world: Tap) {
    this.#world = world;
    const commands = new MessageChannel();
    const leaks = new MessageChannel();
    this.#commands = commands.port1;
    this.#leaks = leaks.port1;
    this.#worker = new Worker(new URL('./traffic-thread.js', import.meta.url), {
      workerData: {
        memory: this.board.memory,
        world: world.descriptor,
        commands: commands.port2,
        leaks: leaks.port2,
        campaign: this.#campaign,
      },
      transferList: [commands.port2, leaks.port2],
    });
    for (const port of [this.#commands, this.#leaks]) port.unref();
  }

  serve(endpoint: Endpoint): void {
    const { slot, descriptor } = endpoint;
    const frames = CLASSES.flatMap((_, kind) => WAYS.map((_way, way) => this.#frame(endpoint, kind, way)));
    this.#tell({ command: 'serve', slot, descriptor, frames });
  }

  /** Resolves when nothing uses the guest's descriptor any more. */
  async leave(slot: number): Promise<void> {
    this.#tell({ command: 'leave', slot });
    await this.arrived();
  }

  /** Resolves when what was sent until now has arrived, or never will. */
  async arrived(rounds = ROUNDS_ON_THE_WAY): Promise<void> {
    const until = this.board.rounds + rounds;
    for (const end = Date.now() + ROUND_LIMIT_MS; this.board.rounds < until; await sleep(1)) {
      if (Date.now() > end) throw new Error('the sender of frames stands still');
    }
  }

  /** Whether a frame of this epoch, or a later one, has passed. */
  hasPassed(slot: number, kind: Class, way: Way, epoch: number): boolean {
    return this.board.lastPassed(slot, CLASSES.indexOf(kind), WAYS.indexOf(way)) >= epoch;
  }

  leaks(): Leak[] {
    const found: Leak[] = [];
    for (let next = receiveMessageOnPort(this.#leaks); next; next = receiveMessageOnPort(this.#leaks)) {
      found.push(next.message as Leak);
    }
    return found;
  }

  async close(): Promise<void> {
    const exited = once(this.#worker, 'exit');
    this.#tell({ command: 'end' });
    await exited;
    this.#commands.close();
    this.#leaks.close();
  }

  #frame({ slot, source, destination, address }: Endpoint, kind: number, way: number): Buffer {
    const isEgress = WAYS[way] === 'egress';
    const other = ADDRESSES[CLASSES[kind] ?? 'forbidden'];
    const data = Buffer.alloc(STAMP_LENGTH);
    data.writeUInt32BE(STAMP_MAGIC, 0);
    data.writeUInt32BE(this.#campaign, 4);
    data.set([slot, kind, way], 8);
    const text = ' '.repeat(STAMP_LENGTH);
    const [from, to] = isEgress ? [address, other] : [other, address];
    const frame = ethernet({
      from: isEgress ? source : this.#world.mac,
      to: isEgress ? this.#world.mac : destination,
      type: ETH_P_IP,
      payload: udp({ from, to, data: text }),
    });
    data.copy(frame, frame.length - STAMP_LENGTH);
    return Buffer.concat([Buffer.alloc(VIRTIO_HEADER), frame]);
  }

  #tell(message: SenderCommand): void {
    this.#commands.postMessage(message);
  }
}
