import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { ControlClient } from '../control/client.js';
import { defaultControlPath } from '../control/path.js';
import { TapwallError } from '../error.js';
import { addKernelOptions, inNamespace, type KernelOptions } from './options.js';

export interface AskOptions extends KernelOptions {
  socket?: string;
}

/** What every command that asks an agent takes. */
export function addAskOptions(command: Command): Command {
  return addKernelOptions(command).option(
    '--socket <path>',
    "the agent's control socket (default: TAPWALL_CONTROL, then /run/tapwall/tapwall.sock)",
  );
}

/**
 * Asks the agent that serves the network namespace.
 * @param without what is done where there is none.
 * @throws TapwallError ACCESS_DENIED when there is one and this user may not ask it.
 */
export async function askAgent<T>(
  options: AskOptions,
  action: (client: ControlClient) => Promise<T>,
  without: () => Promise<T>,
): Promise<T> {
  const client = await findAgent(options);
  if (!client) return await without();
  try {
    return await action(client);
  } finally {
    client.close();
  }
}

/** What a command does that only an agent can answer. @throws TapwallError NO_AGENT */
export async function noAgent(): Promise<never> {
  throw new TapwallError('NO_AGENT', 'no agent with a control socket serves this network namespace', {
    hint: 'Start one with tapwall run, or say where its socket is with --socket.',
  });
}

async function findAgent(options: AskOptions): Promise<ControlClient | undefined> {
  const { socket, namespace } = options;
  if (socket !== undefined) {
    const client = await agentAt(socket, options);
    if (client) return client;
    throw new TapwallError('NO_AGENT', `the agent on ${socket} serves another network namespace`);
  }
  // The agent of that namespace alone, or one that serves several.
  for (const path of new Set([defaultControlPath(namespace), defaultControlPath()])) {
    const client = path === undefined ? undefined : await agentAt(path, options);
    if (client) return client;
  }
  return undefined;
}

/** The agent that listens there, if it is the one that is meant. */
async function agentAt(path: string, { socket, namespace }: AskOptions): Promise<ControlClient | undefined> {
  let client: ControlClient | undefined;
  try {
    client = await ControlClient.connect({ path });
    // Who names a socket and no namespace means whatever that agent serves.
    if (socket !== undefined && namespace === undefined) return client;
    const { home, namespaces } = await client.hello();
    const inode = await inodeOf(namespace);
    const isServed = namespaces.some((one) => one.inode === inode);
    if (namespace === undefined && (isServed || home === inode)) return client;
    if (isServed) {
      client.namespace = inode;
      return client;
    }
  } catch (error) {
    client?.close();
    const isNone = error instanceof TapwallError && error.code === 'NO_AGENT' && socket === undefined;
    if (!isNone) throw error;
    return undefined;
  }
  client.close();
  return undefined;
}

function inodeOf(namespace: string | undefined): Promise<string> {
  if (namespace === undefined) {
    return Promise.resolve(String(statSync('/proc/self/ns/net', { bigint: true }).ino));
  }
  return inNamespace(namespace, (_kernel, handle) => String(handle?.inode));
}
