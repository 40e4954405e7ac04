import { TapwallError } from '../error.js';
import type { NetlinkSocket } from '../kernel/socket.js';
import { isKernelError, isUncertain } from '../netlink/error.js';
import {
  encodeTransaction,
  type Segment,
  TransactionMemory,
  transactionLength,
  transactionSize,
} from '../nftables/transaction.js';
import type { Step } from './step.js';
import { Tally } from './tally.js';

/** What became of a step. */
export interface Outcome {
  step: Step;
  /** Absent when it is in force. */
  error: TapwallError | undefined;
  /** Whether the device was admitted, or had tables, before. */
  replaced: boolean;
  /** The tables it had. */
  had: readonly string[];
}

/**
 * Devices in one transaction. Link creation waits for a transaction, and each device costs it some microseconds; with a
 * table of its own, 0.2 ms.
 */
const MOST_DEVICES = 256;
/** Bytes in one transaction; the addon raises the socket's send buffer to it. */
const MOST_BYTES = 1 << 20;

/** Sends steps as transactions, many devices in one. */
export class Committer {
  readonly mostDevices = MOST_DEVICES;
  readonly #netfilter: NetlinkSocket;
  readonly #sendLarge: (send: () => void) => void;
  readonly #memory = new TransactionMemory();
  #first: readonly Segment[] = [];
  #generation: number | undefined;
  #count = 0;
  readonly #tally: Tally;

  /**
   * @param sendLarge has a large transaction sent.
   * @param tally counts transactions, and what was refused.
   */
  constructor(
    netfilter: NetlinkSocket,
    sendLarge: (send: () => void) => void = (send) => send(),
    tally = new Tally(),
  ) {
    this.#netfilter = netfilter;
    this.#sendLarge = sendLarge;
    this.#tally = tally;
  }

  /** How many transactions are in force. */
  get count(): number {
    return this.#count;
  }

  /**
   * Prepares the next transaction for what was read before it.
   * @param first goes in front of it, whatever it is.
   * @param generation it is refused with ERESTART unless the ruleset is still of this generation.
   */
  begin(first: readonly Segment[], generation: number): void {
    this.#first = first;
    this.#generation = generation;
  }

  /** Sends what should have gone in front of a transaction by itself, if none came. */
  end(): void {
    if (this.#first.length > 0) this.#send([]);
    this.#generation = undefined;
  }

  /** Forgets what was prepared. */
  abandon(): void {
    this.#first = [];
    this.#generation = undefined;
  }

  /** @throws KernelError when the kernel refuses; nothing of it is in force then. */
  transact(segments: readonly Segment[]): void {
    if (segments.length > 0) this.#send(segments);
  }

  #send(segments: readonly Segment[]): void {
    const all = this.#first.length > 0 ? [...this.#first, ...segments] : segments;
    // The elements of a large set: memory for them is not kept.
    const isLarge = transactionSize(all) > MOST_BYTES;
    const memory = isLarge ? undefined : this.#memory;
    const send = () => {
      this.#netfilter.commitWith(transactionLength(all), (sequence) =>
        encodeTransaction(all, sequence, this.#generation, memory),
      );
    };
    try {
      if (isLarge) this.#sendLarge(send);
      else send();
    } catch (error) {
      // One that came too late is sent again, and of one whose answer was lost nobody knows.
      if (isKernelError(error) && !isStale(error) && !isUncertain(error)) this.#tally.add('refusals');
      throw error;
    }
    this.#tally.add('transactions');
    this.#first = [];
    this.#generation = undefined;
    this.#count++;
  }

  /**
   * Admits devices before they are hooked, where the chain that they are added to may be in force: it would drop their
   * frames for as long as the kernel takes to read the rest of the transaction. What is refused will be refused again.
   */
  admitInAdvance(steps: readonly Step[]): void {
    for (const chunk of chunks(steps)) this.#attempt(chunk.flatMap(({ join }) => join ?? []));
  }

  /** A step that the kernel refuses does not keep the others from being taken. */
  commit(steps: readonly Step[]): Outcome[] {
    if (steps.length <= 1) return this.#commitTogether(steps);
    return chunks(steps).flatMap((chunk) => this.#commitTogether(chunk));
  }

  #commitTogether(steps: readonly Step[]): Outcome[] {
    const [only] = steps;
    const segments = steps.length === 1 && only ? only.segments : steps.flatMap(({ segments }) => segments);
    const error = this.#attempt(segments);
    if (error && steps.length > 1) return steps.flatMap((step) => this.#commitTogether([step]));
    if (error) {
      for (const step of steps) step.revert();
      return steps.map((step) => ({ ...before(step), error }));
    }
    return this.commitLate(steps);
  }

  /**
   * The second half of steps whose first is in force.
   * @param along goes into the same transaction.
   */
  commitLate(steps: readonly Step[], along: readonly Segment[] = []): Outcome[] {
    const outcomes = steps.map(before);
    for (const step of steps) step.apply();
    const late = steps.filter((step) => step.late.length > 0);
    if (late.length === 0 && along.length === 0) {
      for (const step of steps) step.applyLate();
      return outcomes;
    }
    const failed = new Map<Step, TapwallError>();
    if (this.#attempt([...along, ...late.flatMap((step) => step.late)])) {
      this.transact(along);
      for (const step of late) {
        const error = this.#attempt(step.late);
        if (error) failed.set(step, error);
      }
    }
    return outcomes.map((outcome) => {
      const error = failed.get(outcome.step);
      if (error) outcome.step.revertLate();
      else outcome.step.applyLate();
      return { ...outcome, error };
    });
  }

  #attempt(segments: readonly Segment[]): TapwallError | undefined {
    try {
      this.transact(segments);
      return undefined;
    } catch (error) {
      // That the ruleset has changed meanwhile says nothing of a step, nor does a system call that failed; and after
      // that nobody knows what is in force.
      if (error instanceof TapwallError && !isStale(error) && !isUncertain(error)) return error;
      throw error;
    }
  }
}

/** Whether a transaction was made for a ruleset that has changed since it was read (nfnetlink_rcv_batch()). */
export function isStale(error: unknown): boolean {
  return isKernelError(error, 'ERESTART');
}

/** A step's outcome, but for what is still to come. */
function before(step: Step): Outcome {
  const { admission, tables } = step.device;
  return { step, error: undefined, replaced: admission.admits || tables.length > 0, had: [...tables] };
}

function chunks(steps: readonly Step[]): Step[][] {
  const lists: Step[][] = [];
  let size = MOST_BYTES;
  for (const step of steps) {
    const bytes = step.segments.reduce((sum, segment) => sum + segment.bytes.length, 0);
    size += bytes;
    const list = lists.at(-1);
    if (!list || list.length >= MOST_DEVICES || size > MOST_BYTES) {
      lists.push([step]);
      size = bytes;
    } else {
      list.push(step);
    }
  }
  return lists;
}
