/** A throw-away host for captures, and the tools that run on it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Scratch } from '#src/compiler/scratch.js';
import { linuxKernel } from '#src/kernel/linux.js';
import { encodeRequest, type Request } from '#src/netlink/message.js';
import { type FixtureMessage, fixturePath, formatFixture, splitMessages } from './hex.js';
import { parseTranscript, type Transfer } from './strace.js';

export const kernel = linuxKernel();

const TOOL_LIMIT_MS = 20_000;

function run(command: string[]): { status: number | null; stdout: string; stderr: string } {
  const [program = '', ...rest] = command;
  const { status, stdout, stderr, error } = spawnSync(program, rest, {
    encoding: 'utf8',
    timeout: TOOL_LIMIT_MS,
    cwd: fixturePath('.'),
    // Dates, and a search of every namespace by number, are of no interest.
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
  });
  if (error) throw error;
  return { status, stdout, stderr };
}

function version(command: string[]): string {
  return /\d+\.\d+\.\d+/.exec(run(command).stdout)?.[0] ?? 'unknown';
}

/** The second line of every fixture. */
const versions = `kernel ${/^[\d.]+/.exec(release())?.[0]}, nft ${version(['nft', '--version'])}, iproute2 ${version(['ip', '-V'])}`;

export function writeFixture(name: string, command: string, messages: readonly FixtureMessage[]): void {
  assert.ok(messages.length > 0, `${name}: nothing was captured`);
  const path = fixturePath(`${name}.hex`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, formatFixture([command, versions], messages));
}

/** @param comment stands above the first message. */
export function messagesOf(bytes: Uint8Array, comment?: string): FixtureMessage[] {
  return splitMessages(bytes).map((one, index) => ({
    comments: index === 0 && comment !== undefined ? [comment] : [],
    bytes: one,
  }));
}

export class CaptureHost extends Scratch {
  #sequence = 1;

  constructor() {
    super(kernel);
  }

  tool(command: string): void {
    const { status, stderr } = run(this.#inside(command.split(' ')));
    assert.equal(status, 0, `${command}: ${stderr}`);
  }

  /** What a tool sends and receives; it may fail. */
  trace(command: string): Transfer[] {
    const folder = mkdtempSync(join(tmpdir(), 'tapwall-capture-'));
    try {
      const file = join(folder, 'transcript');
      const calls = 'trace=sendmsg,sendto,recvmsg';
      const strace = ['strace', '-o', file, '-e', calls, '-e', 'write=all', '-e', 'read=all'];
      run(this.#inside([...strace, ...command.split(' ')]));
      return parseTranscript(readFileSync(file, 'utf8'));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** A dump as the kernel gives it, its end included. */
  dump(request: Request): Uint8Array {
    return this.netfilter.transport.dump(encodeRequest(request, this.#sequence++), TOOL_LIMIT_MS);
  }

  #inside(command: string[]): string[] {
    return ['nsenter', `--net=${this.namespace.path}`, '--', ...command];
  }
}

/** Runs an action on a host of its own. */
export function onHost(action: (host: CaptureHost) => void): void {
  const host = new CaptureHost();
  try {
    action(host);
  } finally {
    host.close();
  }
}
