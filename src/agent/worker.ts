/**
 * The agent's thread. It blocks inside the addon, where a busy main thread cannot delay it, and comes back to read
 * its commands when the main thread signals the waker.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { isSystemCallError, TapwallError } from '../error.js';
import { MAXIMUM_WAIT_MS } from '../kernel/kernel.js';
import { linuxKernel } from '../kernel/linux.js';
import type { CensusLine } from './census.js';
import { type AgentEvent, type EventError, eventError } from './event.js';
import { Fleet, type NamespaceState } from './fleet.js';
import { Outbox } from './outbox.js';
import type { Plan } from './plan.js';
import { Rehearsal } from './rehearsal.js';
import type { AgentRequest, DeviceAnswer } from './request.js';
import { Tally } from './tally.js';

export interface WorkerStart {
  /** A path to the agent's own network namespace; undefined for that of the process. */
  namespacePath: string | undefined;
  wakerFd: number;
  /** Of the tally that the thread and its loops keep. */
  tallied: SharedArrayBuffer;
  commands: MessagePort;
}

export type WorkerCommand =
  | { command: 'reload'; plan: Plan }
  | { command: 'release' }
  | { command: 'answer'; id: number; request: AgentRequest }
  | { command: 'census'; id: number }
  | { command: 'stop'; detach: boolean };

export type WorkerMessage =
  | { events: AgentEvent[] }
  /** One that has come, gone or failed. */
  | { namespace: NamespaceState; isGone: boolean }
  | { fatal: EventError }
  | { refused: EventError }
  | { answered: number; answer: DeviceAnswer[] | CensusLine[] }
  | { answered: number; error: EventError };

const outbox = new Outbox(
  (message) => parentPort?.postMessage(message),
  () => performance.now(),
);

function run(plan: Plan, { namespacePath, wakerFd, tallied, commands }: WorkerStart): void {
  const kernel = linuxKernel();
  const namespace = namespacePath === undefined ? undefined : kernel.openNamespace(namespacePath);
  const emit = (event: AgentEvent) => outbox.add(event);
  const onChange = (state: NamespaceState, isGone: boolean) => outbox.post({ namespace: state, isGone });
  const tally = new Tally(tallied);
  const fleet = new Fleet(plan, { kernel, own: namespace, wakerFd, emit, onChange, tally });
  let rehearsal: Rehearsal | undefined;
  fleet.start(() => {
    rehearsal = new Rehearsal(kernel, plan);
  });
  for (;;) {
    const rehearses = rehearsal?.isOver === false;
    const untilDue = outbox.sendDue();
    const woken = stepped(fleet, tally, rehearses ? 0 : Math.min(untilDue, MAXIMUM_WAIT_MS));
    if (!woken) {
      if (rehearses) rehearsal?.goOn();
      continue;
    }
    for (let next = receiveMessageOnPort(commands); next; next = receiveMessageOnPort(commands)) {
      const message = next.message as WorkerCommand;
      if (message.command === 'stop') {
        fleet.stop({ detach: message.detach });
        outbox.flush();
        // Held until now: a release opens sockets in it.
        namespace?.close();
        rehearsal?.close();
        commands.close();
        return;
      }
      obey(fleet, message);
      outbox.flush();
    }
  }
}

function obey(fleet: Fleet, command: Exclude<WorkerCommand, { command: 'stop' }>): void {
  switch (command.command) {
    case 'reload':
      reload(fleet, command.plan);
      break;
    case 'answer':
      answer(fleet, command.id, command.request);
      break;
    case 'census':
      outbox.post({ answered: command.id, answer: fleet.census() });
      break;
    case 'release':
      fleet.release();
      break;
  }
}

function answer(fleet: Fleet, id: number, request: AgentRequest): void {
  try {
    outbox.post({ answered: id, answer: fleet.answer(request) });
  } catch (error) {
    if (!(error instanceof TapwallError) || error.code === 'OWNED_BY_OTHER') throw error;
    outbox.post({ answered: id, error: eventError(error) });
  }
}

/** How often the wait may fail in a row: for a minute. */
const MOST_FAILED_WAITS = 600;
const PAUSE_MS = 100;
let failedWaits = 0;

/**
 * A wait that fails has waited for nothing, and is begun again; the filters are in force meanwhile.
 * @param tally tells that the thread lives.
 */
function stepped(fleet: Fleet, tally: Tally, timeoutMs: number): boolean {
  try {
    const woken = fleet.step(timeoutMs);
    tally.add('steps');
    failedWaits = 0;
    return woken;
  } catch (error) {
    if (!isSystemCallError(error) || ++failedWaits > MOST_FAILED_WAITS) throw error;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    return false;
  }
}

function reload(fleet: Fleet, plan: Plan): void {
  try {
    fleet.reload(plan);
  } catch (error) {
    if (!(error instanceof TapwallError)) throw error;
    outbox.post({ refused: eventError(error) });
  }
}

parentPort?.once('message', (plan: Plan) => {
  try {
    run(plan, workerData as WorkerStart);
  } catch (error) {
    outbox.post({ fatal: eventError(error) });
  }
});
