import { constants } from 'node:os';
import { TapwallError } from '../error.js';
import type { Acknowledgement, ExtendedAck } from './acknowledgement.js';

const errnoNames = new Map<number, string>(
  Object.entries(constants.errno).map(([name, number]) => [number, name]),
);
// Two names share a number on Linux; the kernel's own is the one people search for.
errnoNames.set(constants.errno.EAGAIN, 'EAGAIN');
errnoNames.set(constants.errno.EOPNOTSUPP, 'EOPNOTSUPP');
// ERESTART (include/linux/errno.h) is meant to stay inside the kernel, but nfnetlink answers a stale
// generation id with it.
errnoNames.set(85, 'ERESTART');

/** `ENOENT` for 2; `E#4242` for a number that nobody named. */
export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `E#${errno}`;
}

/** The kernel said no. `code` is the errno's name. */
export class KernelError extends TapwallError {
  override readonly name = 'KernelError';
  /** The positive errno, errno(3). */
  readonly errno: number;
  /** What was asked, for people: `NEWCHAIN filterin`. */
  readonly operation: string;
  /** The sequence number of the request; 0 when no answer to it came, or the error is that of the system call. */
  readonly sequence: number;
  /** The kernel's extended acknowledgement; empty when it gave none. */
  readonly extendedAck: ExtendedAck;

  /** @internal */
  constructor(
    operation: string,
    acknowledgement: Acknowledgement,
    options: { cause?: unknown; hint?: string } = {},
  ) {
    const { errno, sequence, extendedAck } = acknowledgement;
    const code = errnoName(errno);
    const details = [code];
    if (extendedAck.message) details.push(`"${extendedAck.message}"`);
    if (extendedAck.offset !== undefined) details.push(`at byte ${extendedAck.offset} of the request`);
    if (extendedAck.missingType !== undefined)
      details.push(`attribute ${extendedAck.missingType} is missing`);
    super(code, `the kernel refused ${operation}: ${details.join(', ')}`, options);
    this.errno = errno;
    this.operation = operation;
    this.sequence = sequence;
    this.extendedAck = extendedAck;
  }

  override toJSON(): Record<string, unknown> {
    return {
      ...super.toJSON(),
      errno: this.errno,
      operation: this.operation,
      sequence: this.sequence,
      extendedAck: this.extendedAck,
    };
  }
}

/** True for a kernel error with one of these errno names. */
export function isKernelError(error: unknown, ...codes: string[]): error is KernelError {
  return error instanceof KernelError && (codes.length === 0 || codes.includes(error.code));
}

/** What the kernel answers when it has no memory at the moment. */
const PASSING = ['ENOMEM', 'ENOBUFS', 'EAGAIN', 'EINTR'];

/**
 * True when there is no answer to what was asked, or none that can be read: it may have been carried out or not, and
 * nobody knows. A message that is too long for any socket is the one that was never sent.
 */
export function isUncertain(error: unknown): error is TapwallError {
  if (error instanceof KernelError) return error.sequence === 0 && error.code !== 'EMSGSIZE';
  return error instanceof TapwallError && error.code === 'MALFORMED_MESSAGE';
}

/** True for an error that says nothing of what was asked, and may be gone a moment later. */
export function isPassing(error: unknown): error is TapwallError {
  return isUncertain(error) || isKernelError(error, ...PASSING);
}
