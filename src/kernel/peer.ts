import type { Socket } from 'node:net';
import { TapwallError } from '../error.js';
import { loadAddon } from './addon.js';
import type { NativePeer } from './native.js';

export type Peer = NativePeer;

/**
 * Who is at the other end of a connected Unix socket. Node has no way to ask, nor to say a
 * socket's descriptor; the number is where libuv's pipe handle keeps it.
 * @throws TapwallError ACCESS_DENIED when that cannot be told: who is unknown is not let in.
 */
export function peerOf(socket: Socket): Peer {
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: unknown } | null };
  try {
    if (typeof handle?.fd !== 'number' || handle.fd < 0) throw new Error('the socket has no descriptor');
    return loadAddon().peerCredentials(handle.fd);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TapwallError('ACCESS_DENIED', `cannot tell who asks: ${reason}`, { cause });
  }
}
