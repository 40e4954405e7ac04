import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Tap } from '#src/demo/tap.js';

const PROGRAM = fileURLToPath(new URL('./flooder', import.meta.url));
/** Behind standard input, output and error. */
const WORLD_DESCRIPTOR = 3;

/** What one end has counted; see flooder.c. */
export interface SideCounts {
  opened: number;
  written: number;
  late: number;
  received: number;
  refused: number;
}

export interface FloodCounts {
  guest: SideCounts;
  world: SideCounts;
}

export interface FlooderOptions {
  /** The character device that guests' taps have, one after the other. */
  node: string;
  /** The MAC that their devices have; others are left alone. */
  mac: string;
  world: Tap;
  guestFrame: Uint8Array;
  worldFrame: Uint8Array;
  /** Microseconds between two frames. */
  pause: number;
}

/** The process that floods a device from both of its sides while it comes and goes. */
export class Flooder {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  private constructor({ node, mac, world, guestFrame, worldFrame, pause }: FlooderOptions) {
    const frames = [guestFrame, worldFrame].map((frame) => Buffer.from(frame).toString('hex'));
    const args = [node, mac.replaceAll(':', ''), String(WORLD_DESCRIPTOR), ...frames, String(pause)];
    this.#child = spawn(PROGRAM, args, {
      stdio: ['pipe', 'pipe', 'inherit', world.descriptor],
    }) as ChildProcessByStdio<Writable, Readable, null>;
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    // A write to a process that has ended is reported by the end of its lines.
    this.#child.stdin.on('error', () => undefined);
  }

  static async start(options: FlooderOptions): Promise<Flooder> {
    const flooder = new Flooder(options);
    const line = await flooder.#nextLine();
    if (line !== 'ready') throw new Error(`the flooder said ${line} where it should be ready`);
    return flooder;
  }

  /** What has been counted so far, roughly: frames are on their way. */
  report(): Promise<FloodCounts> {
    return this.#ask('r');
  }

  /** Stops both ends, and gives what they have written up to then. */
  pause(): Promise<FloodCounts> {
    return this.#ask('p');
  }

  resume(): void {
    this.#child.stdin.write('c');
  }

  /** Ends, and gives all that was counted. */
  async stop(): Promise<FloodCounts> {
    this.#child.stdin.end();
    return await this.#nextCounts();
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async #ask(command: string): Promise<FloodCounts> {
    this.#child.stdin.write(command);
    return await this.#nextCounts();
  }

  async #nextCounts(): Promise<FloodCounts> {
    return JSON.parse(await this.#nextLine()) as FloodCounts;
  }

  async #nextLine(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('the flooder has ended');
    return value;
  }
}
