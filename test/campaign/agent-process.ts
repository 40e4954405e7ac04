import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentEvent } from '#src/agent/event.js';
import type { Lab } from '#src/demo/lab.js';
import { Running } from '../support/run.js';
import { PATIENCE_MS, until as untilDeadline } from '../support/station.js';

const until = (what: string, condition: () => boolean) => untilDeadline(what, condition, PATIENCE_MS);

/** A reload takes no longer without a word. */
const QUIET_MS = 700;

/** `tapwall run`, which is killed and started again. */
export class AgentProcess {
  readonly #lab: Lab;
  readonly #folder: string;
  #running: Running | undefined;
  #hasExited = false;
  /** The last that any of its processes has said. */
  readonly recent: AgentEvent[] = [];

  constructor(lab: Lab, folder: string) {
    this.#lab = lab;
    this.#folder = folder;
  }

  get pid(): number {
    return this.#running?.child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#running !== undefined && !this.#hasExited;
  }

  get events(): readonly AgentEvent[] {
    return this.#running?.events ?? [];
  }

  write(files: Record<string, string>): void {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.#folder, name), text);
  }

  /** Starts the program, without waiting for anything. */
  spawn(): void {
    const running = new Running(this.#lab, this.#folder);
    this.#hasExited = false;
    this.#running = running;
    void running.exited.then(() => {
      if (this.#running === running) this.#hasExited = true;
    });
  }

  async ready(): Promise<void> {
    await until('the agent is ready, or has ended', () => this.#hasExited || this.count('ready') > 0);
    if (this.count('ready') === 0) throw new Error('the agent did not start');
  }

  count(...kinds: AgentEvent['event'][]): number {
    return this.events.filter(({ event }) => kinds.includes(event)).length;
  }

  /** Waits for one more event of a kind. */
  async until(kind: AgentEvent['event'], before: number): Promise<void> {
    await until(`one more event: ${kind}`, () => this.count(kind) > before || !this.isRunning);
  }

  signal(signal: NodeJS.Signals): void {
    this.#running?.child.kill(signal);
  }

  /** Has the configuration read again, and waits for what comes of it. */
  async reload(): Promise<'reloaded' | 'reload-failed'> {
    const kinds = ['reloaded', 'reload-failed'] as const;
    const before = this.count(...kinds);
    this.signal('SIGHUP');
    await until('the configuration was read again', () => this.count(...kinds) > before || !this.isRunning);
    const last = this.events.findLast(({ event }) => event === 'reloaded' || event === 'reload-failed');
    return last?.event === 'reloaded' ? 'reloaded' : 'reload-failed';
  }

  /** Waits until it has said nothing for a while: what it was told before has come to its end. */
  async quiet(): Promise<void> {
    for (let seen = -1; seen !== this.events.length; await sleep(QUIET_MS)) seen = this.events.length;
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#running?.exited;
    this.recent.splice(0, this.recent.length, ...this.events.slice(-40));
    this.#running = undefined;
  }
}

/** Which system call fails how: words for strace's fault injection. */
export interface Injection {
  call: string;
  /** `error=ENOBUFS`, or what it says that it has done without having done it: `retval=7`. */
  outcome: string;
  when: string;
}

/** Lets system calls of a process fail for as long as it's attached. */
export class Injector {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #attached = 0;

  private constructor(pid: number, { call, outcome, when }: Injection) {
    const inject = `inject=${call}:${outcome}:when=${when}`;
    const args = ['-f', '-p', String(pid), '-o', '/dev/null', '-e', `trace=${call}`, '-e', inject];
    this.#child = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#exited = new Promise((resolve) => this.#child.on('close', resolve));
    if (this.#child.stderr) {
      createInterface({ input: this.#child.stderr }).on('line', (line) => {
        if (/attached/.test(line)) this.#attached++;
      });
    }
  }

  static async attach(pid: number, injection: Injection): Promise<Injector> {
    const injector = new Injector(pid, injection);
    await until('strace is attached', () => injector.#attached > 0 || injector.#child.exitCode !== null);
    if (injector.#attached === 0) throw new Error('strace cannot attach to the agent');
    return injector;
  }

  async detach(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#exited;
  }
}
