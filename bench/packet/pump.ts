import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Tap } from '#src/demo/tap.js';

const PROGRAM = fileURLToPath(new URL('./pump', import.meta.url));
/** Standard input, output and error come before the taps. */
const FIRST_DESCRIPTOR = 3;

export interface Pumped {
  written: number;
  /** How many came out at the other end. */
  received: number;
  /** By the clock. */
  nanoseconds: number;
  /** Nanoseconds of processor time. */
  processor: number;
  /** Undefined where the kernel counts no cycles for a process. */
  cycles: number | undefined;
}

/** The process that writes frames; it has all of the taps open. */
export class Pump {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #descriptors: ReadonlyMap<Tap, number>;

  private constructor(taps: readonly Tap[]) {
    this.#descriptors = new Map(taps.map((tap, position) => [tap, FIRST_DESCRIPTOR + position]));
    const stdio = ['pipe', 'pipe', 'inherit', ...taps.map(({ descriptor }) => descriptor)] as const;
    this.#child = spawn(PROGRAM, [], { stdio: [...stdio] }) as ChildProcessByStdio<Writable, Readable, null>;
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    // A write to a process that has ended is reported by the end of its lines.
    this.#child.stdin.on('error', () => undefined);
  }

  static async start(taps: readonly Tap[]): Promise<Pump> {
    const pump = new Pump(taps);
    const line = await pump.#nextLine();
    if (line !== 'ready') throw new Error(`the pump said ${line} where it should be ready`);
    return pump;
  }

  async run(from: Tap, to: Tap, count: number, frame: Uint8Array): Promise<Pumped> {
    const descriptors = [from, to].map((tap) => this.#descriptors.get(tap));
    this.#child.stdin.write(`${descriptors.join(' ')} ${count} ${Buffer.from(frame).toString('hex')}\n`);
    const line = await this.#nextLine();
    const [, written, received, nanoseconds, processor, cycles] =
      /^(\d+) (\d+) (\d+) (\d+) (\d+|-)$/.exec(line) ?? [];
    if (cycles === undefined) throw new Error(`the pump: ${line.replace(/^! /, '')}`);
    return {
      written: Number(written),
      received: Number(received),
      nanoseconds: Number(nanoseconds),
      processor: Number(processor),
      cycles: cycles === '-' ? undefined : Number(cycles),
    };
  }

  close(): void {
    this.#child.stdin.end();
  }

  async #nextLine(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('the pump has ended');
    return value;
  }
}
