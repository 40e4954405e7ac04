/**
 * A host whose network namespaces have names, as ip-netns(8) gives them: with a mount and a network namespace of its own, so
 * that nothing of it is on the machine.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { AgentEvent } from '#src/agent/event.js';
import type { ToolResult } from './host.js';
import { MAIN } from './run.js';
import { until } from './station.js';

const SOCKET = '/run/tapwall/tapwall.sock';
const SET_UP =
  'mount -t tmpfs none /run && mount --make-shared /run && mkdir /run/netns && echo ready && exec sleep infinity';

export class NetnsHost {
  readonly #holder: ChildProcess;
  readonly #agents: NetnsAgent[] = [];

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async open(): Promise<NetnsHost> {
    const words = ['--mount', '--net', '--propagation', 'private', 'sh', '-c', SET_UP];
    const holder = spawn('unshare', words, { stdio: ['ignore', 'pipe', 'inherit'] });
    if (holder.stdout) await once(holder.stdout, 'data');
    return new NetnsHost(holder);
  }

  /** Runs a program there. */
  run(...command: string[]): ToolResult {
    const { status, stdout, stderr } = spawnSync('nsenter', this.#inside(command), {
      encoding: 'utf8',
      timeout: 60_000,
      env: this.#environment,
    });
    return { status, stdout, stderr };
  }

  tapwall(...args: string[]): ToolResult {
    return this.run(process.execPath, MAIN, ...args);
  }

  /** Starts an agent to which mounts propagate, as systemd's PrivateMounts= does it. */
  start(configuration: string): NetnsAgent {
    const slave = ['unshare', '--mount', '--propagation', 'slave'];
    const run = [process.execPath, MAIN, 'run', '--config', configuration, '--json'];
    const child = spawn('nsenter', this.#inside([...slave, ...run]), {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: this.#environment,
    });
    const agent = new NetnsAgent(child);
    this.#agents.push(agent);
    return agent;
  }

  async close(): Promise<void> {
    for (const agent of this.#agents) await agent.kill('SIGKILL');
    const ended = once(this.#holder, 'exit');
    this.#holder.kill('SIGKILL');
    await ended;
  }

  #inside(command: string[]): string[] {
    return ['--target', String(this.#holder.pid), '--mount', '--net', ...command];
  }

  get #environment(): NodeJS.ProcessEnv {
    return { ...process.env, TAPWALL_CONTROL: SOCKET };
  }
}

/** `tapwall run --json`, and what it has said so far. */
export class NetnsAgent {
  readonly events: AgentEvent[] = [];
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = once(child, 'exit');
    if (!child.stdout) return;
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.events.push(JSON.parse(line) as AgentEvent);
    });
  }

  of<K extends AgentEvent['event']>(kind: K): Extract<AgentEvent, { event: K }>[] {
    return this.events.filter((event): event is Extract<AgentEvent, { event: K }> => event.event === kind);
  }

  async saw(kind: AgentEvent['event'], times = 1): Promise<void> {
    await until(`${kind} ${times} times`, () => this.of(kind).length >= times);
  }

  /** nsenter and unshare became the program: it has the child's process id. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal);
    await this.#exited;
  }
}
