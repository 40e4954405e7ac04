import type { Server } from 'node:net';
import { isMainThread } from 'node:worker_threads';
import { TapwallError } from '../error.js';
import { CONTROL_SOCKET, claimPath, restrict, type SocketPurpose } from './path.js';

/** A Unix socket, and who may connect to it. */
export interface SocketPlace {
  /** Absolute. */
  path: string;
  /** The group whose members may connect; undefined for none. */
  group?: number | undefined;
  /** 0o600 unless given, or 0o660 with a group. */
  mode?: number | undefined;
  /** How many may wait to be accepted. */
  backlog: number;
  purpose?: SocketPurpose;
}

/**
 * Lets a server listen on a Unix socket that nobody else can connect to at any moment.
 * @throws TapwallError with the codes of the purpose.
 */
export async function listenAt(server: Server, place: SocketPlace): Promise<void> {
  const { path, group, mode, backlog, purpose = CONTROL_SOCKET } = place;
  await claimPath(path, purpose);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new TapwallError(purpose.unusable, `cannot listen on ${path}: ${cause.message}`, { cause })),
    );
    // Until its mode is set nobody but the owner may connect; bind(2) is called before listen() returns.
    // A worker cannot change the mask; who connects is asked for credentials all the same.
    const before = isMainThread ? process.umask(0o177) : undefined;
    try {
      server.listen({ path, backlog }, resolve);
    } finally {
      if (before !== undefined) process.umask(before);
    }
  });
  try {
    restrict(path, { group, mode: mode ?? (group === undefined ? 0o600 : 0o660) });
  } catch (cause) {
    server.close();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TapwallError(purpose.unusable, `cannot give ${path} to the group: ${reason}`, { cause });
  }
}
