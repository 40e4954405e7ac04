/**
 * The agent's thread. It blocks inside the addon, where a busy main thread cannot delay it, and comes back to read
 * its commands when the main thread signals the waker.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { TapwallError } from '../error.js';
import { MAXIMUM_WAIT_MS } from '../kernel/kernel.js';
import { linuxKernel } from '../kernel/linux.js';
import { type AgentEvent, type EventError, eventError } from './event.js';
import { Fleet, type NamespaceState } from './fleet.js';
import type { Plan } from './plan.js';
import { Rehearsal } from './rehearsal.js';
import type { AgentRequest, DeviceAnswer } from './request.js';

export interface WorkerStart {
  plan: Plan;
  /** A path to the agent's own network namespace; undefined for that of the process. */
  namespacePath: string | undefined;
  wakerFd: number;
  /** Counts the loop's steps, for whoever wants to know that it lives; a shared 32-bit number. */
  steps: SharedArrayBuffer;
  commands: MessagePort;
}

export type WorkerCommand =
  | { command: 'reload'; plan: Plan }
  | { command: 'release' }
  | { command: 'answer'; id: number; request: AgentRequest }
  | { command: 'stop'; detach: boolean };

export type WorkerMessage =
  | { event: AgentEvent }
  /** One that has come, gone or failed. */
  | { namespace: NamespaceState; isGone: boolean }
  | { fatal: EventError }
  | { refused: EventError }
  | { answered: number; answer: DeviceAnswer[] }
  | { answered: number; error: EventError };

function post(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}

function run({ plan, namespacePath, wakerFd, steps, commands }: WorkerStart): void {
  const kernel = linuxKernel();
  const namespace = namespacePath === undefined ? undefined : kernel.openNamespace(namespacePath);
  const emit = (event: AgentEvent) => post({ event });
  const onChange = (state: NamespaceState, isGone: boolean) => post({ namespace: state, isGone });
  const fleet = new Fleet(plan, { kernel, own: namespace, wakerFd, emit, onChange });
  let rehearsal: Rehearsal | undefined;
  fleet.start(() => {
    rehearsal = new Rehearsal(kernel, plan);
  });
  const count = new Int32Array(steps);
  for (;;) {
    if (!stepped(fleet, count)) continue;
    for (let next = receiveMessageOnPort(commands); next; next = receiveMessageOnPort(commands)) {
      const message = next.message as WorkerCommand;
      if (message.command === 'reload') {
        reload(fleet, message.plan);
        continue;
      }
      if (message.command === 'answer') {
        answer(fleet, message.id, message.request);
        continue;
      }
      if (message.command === 'release') {
        fleet.release();
        continue;
      }
      fleet.stop({ detach: message.detach });
      // Held until now: a release opens sockets in it.
      namespace?.close();
      rehearsal?.close();
      commands.close();
      return;
    }
  }
}

function answer(fleet: Fleet, id: number, request: AgentRequest): void {
  try {
    post({ answered: id, answer: fleet.answer(request) });
  } catch (error) {
    if (!(error instanceof TapwallError) || error.code === 'OWNED_BY_OTHER') throw error;
    post({ answered: id, error: eventError(error) });
  }
}

/** How often the wait may fail in a row: for a minute. */
const MOST_FAILED_WAITS = 600;
const PAUSE_MS = 100;
let failedWaits = 0;

/**
 * A wait that fails has waited for nothing, and is begun again; the filters are in force meanwhile.
 * @param count tells that the thread lives.
 */
function stepped(fleet: Fleet, count: Int32Array): boolean {
  try {
    const woken = fleet.step(MAXIMUM_WAIT_MS);
    Atomics.add(count, 0, 1);
    failedWaits = 0;
    return woken;
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error) || ++failedWaits > MOST_FAILED_WAITS) throw error;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    return false;
  }
}

function reload(fleet: Fleet, plan: Plan): void {
  try {
    fleet.reload(plan);
  } catch (error) {
    if (!(error instanceof TapwallError)) throw error;
    post({ refused: eventError(error) });
  }
}

try {
  run(workerData as WorkerStart);
} catch (error) {
  post({ fatal: eventError(error) });
}
