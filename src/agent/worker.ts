/**
 * The agent's thread. It blocks inside the addon, where a busy main thread cannot delay it, and comes back to read
 * its commands when the main thread signals the waker.
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { MAXIMUM_WAIT_MS } from '../kernel/kernel.js';
import { linuxKernel } from '../kernel/linux.js';
import type { AgentEvent } from './event.js';
import { AgentLoop, eventError } from './loop.js';
import type { Plan } from './plan.js';
import { Rehearsal } from './rehearsal.js';

export interface WorkerStart {
  plan: Plan;
  /** A path to the network namespace; undefined for the process's own. */
  namespacePath: string | undefined;
  wakerFd: number;
  commands: MessagePort;
}

export type WorkerCommand = { command: 'reload'; plan: Plan } | { command: 'stop'; detach: boolean };

export type WorkerMessage = { event: AgentEvent } | { fatal: ReturnType<typeof eventError> };

function post(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}

function run({ plan, namespacePath, wakerFd, commands }: WorkerStart): void {
  const kernel = linuxKernel();
  const namespace = namespacePath === undefined ? undefined : kernel.openNamespace(namespacePath);
  const emit = (event: AgentEvent) => post({ event });
  const loop = new AgentLoop(plan, { kernel, namespace, wakerFd, emit });
  let rehearsal: Rehearsal | undefined;
  // The sockets hold the namespace from here on.
  namespace?.close();
  loop.start(() => {
    rehearsal = new Rehearsal(kernel, plan);
  });
  for (;;) {
    if (!loop.step(MAXIMUM_WAIT_MS)) continue;
    for (let next = receiveMessageOnPort(commands); next; next = receiveMessageOnPort(commands)) {
      const message = next.message as WorkerCommand;
      if (message.command === 'reload') {
        loop.reload(message.plan);
        continue;
      }
      loop.stop({ detach: message.detach });
      rehearsal?.close();
      commands.close();
      return;
    }
  }
}

try {
  run(workerData as WorkerStart);
} catch (error) {
  post({ fatal: eventError(error) });
}
