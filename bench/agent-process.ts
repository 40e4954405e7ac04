import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { AgentEvent } from '#src/agent/event.js';
import { endWithRun } from './cleanup.js';

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
/** The flags for Node that stand in its first line, with which it is started as a command. */
const FLAGS = /^#!\S+ -S node (.*)/.exec(readFileSync(MAIN, 'utf8'))?.[1]?.split(' ') ?? [];
/** Long for a start with thousands of devices and a million addresses. */
const TIME_LIMIT_MS = 180_000;
/** USER_HZ, the unit of the times in /proc/PID/stat, is 100 on every architecture that Node runs on. */
const TICK_NS = 1e7;

/** Nanoseconds of processor time. */
export interface ProcessorTime {
  user: number;
  system: number;
  /** Of all threads, to the nanosecond; the two above are counted in ticks of 10 ms. */
  total: number;
}

/** The agent has refused a configuration, and goes on with the one before. */
export class Refusal extends Error {}

interface Waiting {
  kind: AgentEvent['event'];
  left: number;
  resolve(event: AgentEvent): void;
  reject(error: Error): void;
}

/** `tapwall run` as a service manager starts it: what it costs is seen from outside. */
export class AgentProcess {
  readonly #child: ChildProcessByStdio<null, Readable, null>;
  readonly #configuration: string;
  readonly #closed: Promise<unknown>;
  readonly #waiting = new Set<Waiting>();
  readonly #begun = process.hrtime.bigint();
  #startNs = Number.NaN;
  #readyNs = Number.NaN;
  #lastFailure = '';

  private constructor(configuration: string, namespacePath: string) {
    this.#configuration = configuration;
    const args = [...FLAGS, MAIN, 'run', '--config', configuration, '--namespace', namespacePath, '--json'];
    this.#child = endWithRun(spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] }));
    this.#closed = once(this.#child, 'close');
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take(JSON.parse(line)));
  }

  /** Starts it on a network namespace, and resolves when it is ready. @param folder for its configuration. */
  static async start(yaml: string, folder: string, namespacePath: string): Promise<AgentProcess> {
    const configuration = `${folder}/agent.yaml`;
    writeFileSync(configuration, yaml);
    const agent = new AgentProcess(configuration, namespacePath);
    const ready = await agent.saw('ready');
    agent.#startNs = Number(process.hrtime.bigint() - agent.#begun);
    if (ready.event === 'ready') agent.#readyNs = ready.microseconds * 1e3;
    return agent;
  }

  /** Nanoseconds from the start of its process to `ready`, and how long it says itself that its loop took. */
  get start(): { process: number; loop: number } {
    return { process: this.#startNs, loop: this.#readyNs };
  }

  /** Resolves with the last of so many events of one kind, from now on. */
  async saw(kind: AgentEvent['event'], times = 1): Promise<AgentEvent> {
    const event = new Promise<AgentEvent>((resolve, reject) => {
      const settle = (then: () => void) => {
        clearTimeout(timer);
        this.#child.off('close', onClose);
        this.#waiting.delete(waiting);
        then();
      };
      const fail = (why: string) => settle(() => reject(new Error(`the agent ${why}${this.#lastFailure}`)));
      const onClose = () => fail('has ended');
      const timer = setTimeout(() => fail(`told of no ${kind} in ${TIME_LIMIT_MS} ms`), TIME_LIMIT_MS);
      const waiting: Waiting = {
        kind,
        left: times,
        resolve: (one) => settle(() => resolve(one)),
        reject: (error) => settle(() => reject(error)),
      };
      this.#waiting.add(waiting);
      this.#child.once('close', onClose);
    });
    return event;
  }

  /** Gives it another configuration. @returns nanoseconds until it says that it is in force. */
  async reload(yaml: string): Promise<number> {
    writeFileSync(this.#configuration, yaml);
    const reloaded = this.saw('reloaded');
    const start = process.hrtime.bigint();
    this.#child.kill('SIGHUP');
    await reloaded;
    return Number(process.hrtime.bigint() - start);
  }

  /** Resident memory, in bytes. */
  get residentBytes(): number {
    const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(this.#read('status')) ?? [];
    return Number(kib) * 1024;
  }

  get processorTime(): ProcessorTime {
    // The name of the command may hold blanks and brackets; it ends with the last bracket.
    const fields = this.#read('stat')
      .replace(/^.*\) /s, '')
      .split(' ');
    const [user = Number.NaN, system = Number.NaN] = fields
      .slice(11, 13)
      .map((ticks) => Number(ticks) * TICK_NS);
    const threads = readdirSync(`/proc/${this.#child.pid}/task`);
    const total = threads.reduce((sum, thread) => sum + this.#threadTime(thread), 0);
    return { user, system, total };
  }

  /** Nanoseconds that one of its threads has run. One may end between the listing and the reading. */
  #threadTime(thread: string): number {
    try {
      return Number(this.#read(`task/${thread}/schedstat`).split(' ', 1)[0]);
    } catch (error) {
      if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) {
        return 0;
      }
      throw error;
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill(signal);
    await this.#closed;
  }

  #read(file: string): string {
    return readFileSync(`/proc/${this.#child.pid}/${file}`, 'utf8');
  }

  #take(event: AgentEvent): void {
    if (event.event === 'failed' || event.event === 'reload-failed') {
      this.#lastFailure = `: ${JSON.stringify(event)}`;
    }
    if (event.event === 'reload-failed') {
      // Nothing changes any more: whoever waits for it to be in force would do so in vain.
      for (const waiting of this.#waiting) {
        if (waiting.kind === 'reloaded') waiting.reject(new Refusal(event.error.message));
      }
    }
    for (const waiting of this.#waiting) {
      if (waiting.kind !== event.event || --waiting.left > 0) continue;
      waiting.resolve(event);
    }
  }
}

/** Nanoseconds in which some core did something, since the machine started. */
export function machineBusy(): number {
  const [, ...fields] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.split(/\s+/) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = fields.map(Number);
  return (user + nice + system + irq + softirq) * TICK_NS;
}
