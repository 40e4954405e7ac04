import { readFileSync, writeFileSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';
import type { Plan } from '#src/agent/plan.js';

/** What a contender's process is told. */
export interface Task {
  plan: Plan;
  /** The interface indexes of the devices to attach and detach. */
  indexes: readonly number[];
  /** Files for the transactions of both, which it writes. */
  attachFile: string;
  detachFile: string;
}

/** A structured clone, not JSON: a plan holds bytes. It is what the agent's thread gets its plan by, too. */
export function writeTask(file: string, task: Task): void {
  writeFileSync(file, serialize(task));
}

export function readTask(file: string): Task {
  return deserialize(readFileSync(file)) as Task;
}
