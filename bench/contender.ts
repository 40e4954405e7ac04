import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** One way to attach a policy to a device, as a process of its own. */
export interface ContenderOptions {
  /** How the report calls it. */
  title: string;
  command: string;
  args: string[];
}

/** Long for what takes milliseconds, so that only one that hangs reaches it. */
const TIME_LIMIT_MS = 60_000;

/**
 * A contender's process. It waits for a line that says what to do, does it, and answers with a line: the nanoseconds it
 * took, one figure for each thing done, or `!` and an error. Each contender waits in the same way and measures itself,
 * so that none is measured with the way there.
 */
export class Contender {
  readonly title: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  #pending: { resolve(line: string): void; reject(error: Error): void; timer: NodeJS.Timeout } | undefined;
  /** Why it can give no more answers. */
  #ended: Error | undefined;

  private constructor({ title, command, args }: ContenderOptions) {
    this.title = title;
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take()?.resolve(line));
    this.#child.on('error', (error) => this.#fail(error.message));
    this.#child.on('close', (status, signal) => this.#fail(`ended with ${signal ?? status}`));
    // A write to a process that has ended is reported by its end.
    this.#child.stdin.on('error', () => undefined);
  }

  /** Starts the process, and resolves when it is ready. */
  static async start(options: ContenderOptions): Promise<Contender> {
    const contender = new Contender(options);
    const line = await contender.#nextLine();
    if (line !== 'ready') throw new Error(`${options.title} said ${line} where it should be ready`);
    return contender;
  }

  /** Attaches once; gives nanoseconds. */
  async attach(): Promise<number> {
    const [nanoseconds = Number.NaN] = await this.#ask('attach');
    return nanoseconds;
  }

  /** Detaches once; gives nanoseconds. */
  async detach(): Promise<number> {
    const [nanoseconds = Number.NaN] = await this.#ask('detach');
    return nanoseconds;
  }

  /** Attaches and detaches in turn, so often without a pause; gives nanoseconds. */
  async pairs(count: number): Promise<{ attach: number[]; detach: number[] }> {
    const figures = await this.#ask(`pairs ${count}`);
    if (figures.length !== 2 * count)
      throw new Error(`${this.title}: ${figures.length} figures of ${count} pairs`);
    return {
      attach: figures.filter((_, at) => at % 2 === 0),
      detach: figures.filter((_, at) => at % 2 === 1),
    };
  }

  /** Lets the process end. */
  close(): void {
    this.#child.stdin.end();
  }

  async #ask(question: string): Promise<number[]> {
    const answer = this.#nextLine();
    this.#child.stdin.write(`${question}\n`);
    const line = (await answer).trim();
    if (!/^\d+( \d+)*$/.test(line)) throw new Error(`${this.title}: ${line.replace(/^.*! /, '')}`);
    return line.split(' ').map(Number);
  }

  #nextLine(): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#ended) {
        reject(this.#ended);
        return;
      }
      const timer = setTimeout(() => {
        this.#fail(`has not answered for ${TIME_LIMIT_MS} ms`);
        this.#child.kill('SIGKILL');
      }, TIME_LIMIT_MS);
      this.#pending = { resolve, reject, timer };
    });
  }

  #fail(reason: string): void {
    this.#ended ??= new Error(`${this.title}: ${reason}`);
    this.#take()?.reject(this.#ended);
  }

  /** Whoever waits for a line, once. */
  #take() {
    const pending = this.#pending;
    this.#pending = undefined;
    clearTimeout(pending?.timer);
    return pending;
  }
}
