import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { readTables } from '../agent/attachment.js';
import { ownersOf, portWords } from '../agent/ownership.js';
import type { ControlClient } from '../control/client.js';
import { TapwallError } from '../error.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import { NETLINK_NETFILTER } from '../netlink/constants.js';
import { type AskOptions, addAskOptions, askAgent } from './ask.js';
import { inNamespace } from './options.js';
import { EXIT, print, printJson } from './output.js';

/** What tells an agent that runs to give its tables up. */
export const RELEASE_SIGNAL = 'SIGUSR2';
/** What `run` calls its process: at most 15 bytes, as the kernel keeps it. */
export const AGENT_NAME = 'tapwall';

/** An agent that attaches thousands of devices at the moment gets to it when it has done so. */
const PATIENCE_MS = 30_000;
const PAUSE_MS = 20;

export function releaseCommand(exit: (status: number) => void): Command {
  const command = new Command('release')
    .description(
      'let the agent that runs give up the ownership of its tables, until it reloads or starts again',
    )
    .addHelpText(
      'after',
      `
Filters stay as they are. Tables that nobody owns may be changed by anybody who may change nf_tables; the agent
goes on, and puts right what others change of it. Without an agent there is nothing to give up: the tables of one
that has stopped belong to nobody.

Examples:
  $ tapwall release
  $ tapwall release --namespace vms`,
    );
  return addAskOptions(command).action(async (options: AskOptions) => {
    const released = await askAgent(options, releaseThrough, () => releaseBySignal(options));
    if (options.json) printJson({ event: 'released', ...released });
    else print(words(released));
    exit(EXIT.success);
  });
}

/** Who gave what up: a process that was asked, or the port that tables belonged to. */
interface Released {
  pid?: number;
  tables?: string[];
  port?: number;
}

function words({ pid, port, tables = [] }: Released): string {
  if (pid !== undefined) return `given up by process ${pid}`;
  if (port === undefined) return 'nobody owns tables of tapwall here';
  return `given up by ${portWords(port)}: ${tables.length} table${tables.length === 1 ? '' : 's'}`;
}

async function releaseThrough(client: ControlClient): Promise<Released> {
  const { pid } = await client.hello();
  const { ownership } = await client.status();
  if (ownership !== 'own') return { tables: [] };
  await client.release();
  return { pid };
}

/** An agent without a control socket is told by a signal. */
function releaseBySignal({ namespace: name }: AskOptions): Promise<Released> {
  return inNamespace(name, async (kernel, namespace) => {
    const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
    try {
      return await release(netfilter);
    } finally {
      netfilter.close();
    }
  });
}

async function release(netfilter: NetlinkSocket): Promise<{ tables: string[]; port?: number }> {
  const { tables, port } = ownersOf(readTables(netfilter));
  if (port === undefined) return { tables };
  if (!isAgent(port)) {
    throw new TapwallError(
      'OWNED_BY_OTHER',
      `the tables belong to netlink ${portWords(port)}, which is no tapwall run that can be told to give them up`,
      { hint: 'A service that has tapwall built in calls release() of its agent, or is stopped.' },
    );
  }
  process.kill(port, RELEASE_SIGNAL);
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await sleep(PAUSE_MS)) {
    if (ownersOf(readTables(netfilter)).port !== port) return { tables, port };
  }
  throw new TapwallError('TIMEOUT', `the agent (${portWords(port)}) did not give its tables up`, {
    hint: 'Look into its log; when it stops, its tables belong to nobody.',
  });
}

/**
 * Whether a process is an agent that waits for the signal: to any other it might be the end. A port is a process id as
 * long as both processes count ids alike, and it was the process's first socket.
 */
function isAgent(pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const [, name] = /^Name:\s*(.*)$/m.exec(status) ?? [];
    const [, caught] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(status) ?? [];
    const bit = 1n << BigInt(constants.signals[RELEASE_SIGNAL] - 1);
    return name === AGENT_NAME && caught !== undefined && (BigInt(`0x${caught}`) & bit) !== 0n;
  } catch {
    return false;
  }
}
