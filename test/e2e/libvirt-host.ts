/** A host of its own with a real libvirtd: namespaces, a private /etc, /run and /dev, and a world behind a cable. */
import { type ChildProcess, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { AgentEvent } from '#src/agent/event.js';
import { FORBID_HOST_NAMESPACE } from '#src/kernel/linux.js';
import { MAIN } from '../support/run.js';
import { until } from '../support/station.js';
import { Wire } from './wire.js';

const HOLDER = fileURLToPath(new URL('../../test/e2e/holder.sh', import.meta.url));
const PATIENCE_MS = 60_000;

const LIBVIRTD_CONF = `unix_sock_group = "root"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
`;
/** Nothing of the machine: no security driver, no control groups, no other user. */
const QEMU_CONF = `user = "root"
group = "root"
security_driver = "none"
security_default_confined = 0
remember_owner = 0
dynamic_ownership = 0
namespaces = [ ]
cgroup_controllers = [ ]
stdio_handler = "file"
`;

export class LibvirtHost {
  readonly folder = mkdtempSync(join(tmpdir(), 'tapwall-e2e-'));
  readonly config = join(this.folder, 'tapwall.yaml');
  readonly #holder: ChildProcess;
  /** Of the holder, as this process counts ids. */
  #pid = 0;
  #agent: ChildProcess | undefined;
  readonly events: AgentEvent[] = [];

  private constructor() {
    for (const name of ['var', 'log', 'cache', 'dev']) mkdirSync(join(this.folder, name));
    cpSync('/etc/libvirt', join(this.folder, 'etc'), { recursive: true });
    rmSync(join(this.folder, 'etc', 'hooks'), { recursive: true, force: true });
    writeFileSync(join(this.folder, 'etc', 'libvirtd.conf'), LIBVIRTD_CONF);
    writeFileSync(join(this.folder, 'etc', 'qemu.conf'), QEMU_CONF);
    const own = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'];
    // unshare complains when its child is killed.
    const log = openSync(join(this.folder, 'holder.log'), 'w');
    this.#holder = spawn('unshare', [...own, 'bash', HOLDER, this.folder], {
      stdio: ['ignore', 'pipe', log],
    });
    closeSync(log);
  }

  static async open(): Promise<LibvirtHost> {
    const host = new LibvirtHost();
    const { stdout, pid } = host.#holder;
    const ended = once(host.#holder, 'exit').then(() => {
      throw new Error(readFileSync(join(host.folder, 'holder.log'), 'utf8'));
    });
    if (stdout) await Promise.race([once(createInterface({ input: stdout }), 'line'), ended]);
    // It ends when the test does.
    ended.catch(() => undefined);
    host.#pid = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
    return host;
  }

  get #enter(): string[] {
    return ['nsenter', '-t', String(this.#pid), '-m', '-n', '-p', '--'];
  }

  /** In there nothing is the machine's, so the variable that forbids that is not for it. */
  get #environment(): NodeJS.ProcessEnv {
    const { [FORBID_HOST_NAMESPACE]: _, ...environment } = process.env;
    return environment;
  }

  run(...command: string[]): SpawnSyncReturns<string> {
    const [program = '', ...args] = [...this.#enter, ...command];
    return spawnSync(program, args, {
      encoding: 'utf8',
      timeout: PATIENCE_MS,
      env: this.#environment,
    });
  }

  spawn(...command: string[]): ChildProcess {
    const [program = '', ...args] = [...this.#enter, ...command];
    return spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], env: this.#environment });
  }

  /** @throws Error with what it said, when it fails. */
  succeed(...command: string[]): string {
    const { status, stdout, stderr } = this.run(...command);
    if (status !== 0) throw new Error(`${command.join(' ')}: ${status}: ${stdout}${stderr}`);
    return stdout;
  }

  tapwall(...args: string[]): SpawnSyncReturns<string> {
    return this.run(process.execPath, MAIN, ...args);
  }

  virsh(...args: string[]): SpawnSyncReturns<string> {
    return this.run('virsh', '-q', '-c', 'qemu:///system', ...args);
  }

  async startLibvirtd(): Promise<void> {
    this.succeed('/usr/sbin/libvirtd', '-d', '--pid', '/run/libvirtd.pid');
    await until('libvirtd', () => this.virsh('version').status === 0, PATIENCE_MS);
  }

  async killLibvirtd(): Promise<void> {
    const pid = this.succeed('cat', '/run/libvirtd.pid').trim();
    this.succeed('kill', '-9', pid);
    await until('libvirtd’s end', () => this.run('kill', '-0', pid).status !== 0);
  }

  configure(text: string): void {
    writeFileSync(this.config, text);
  }

  async startAgent(): Promise<void> {
    this.events.length = 0;
    this.#agent = this.spawn(process.execPath, MAIN, 'run', '--config', this.config, '--json');
    if (this.#agent.stdout) {
      createInterface({ input: this.#agent.stdout }).on('line', (line) => this.events.push(JSON.parse(line)));
    }
    await until('the agent', () => this.events.some(({ event }) => event === 'ready'), PATIENCE_MS);
  }

  /** @param signal SIGKILL: its last words are not heard. */
  async stopAgent(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (!agent?.pid) return;
    const ended = once(agent, 'exit');
    // nsenter has become the command, since it enters no PID namespace without forking: its child is the agent.
    const [child] = readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8').trim().split(' ');
    process.kill(Number(child), signal);
    await ended;
  }

  /** Listens at the other end of the cable. */
  listen(): Promise<Wire> {
    return Wire.listen((...command) => this.spawn(...command));
  }

  /** What a guest has said on its serial port. */
  said(guest: string): string {
    const file = this.serialLog(guest);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  serialLog(guest: string): string {
    return join(this.folder, `${guest}.log`);
  }

  async heard(guest: string, words: string | RegExp): Promise<void> {
    const is = (text: string) => (typeof words === 'string' ? text.includes(words) : words.test(text));
    try {
      await until(`${words} of ${guest}`, () => is(this.said(guest)), PATIENCE_MS);
    } catch (cause) {
      throw new Error(`${guest} did not say ${words}: ${this.said(guest).slice(-2_000)}`, { cause });
    }
  }

  /** libvirt's own words, for when something goes wrong. */
  get libvirtLog(): string {
    return readFileSync(join(this.folder, 'log', 'libvirtd.log'), 'utf8');
  }

  async close(): Promise<void> {
    const ended = once(this.#holder, 'exit');
    // The first process of a PID namespace takes all others along.
    if (this.#pid) process.kill(this.#pid, 'SIGKILL');
    else this.#holder.kill('SIGKILL');
    await ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}
