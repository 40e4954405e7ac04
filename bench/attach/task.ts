import { readFileSync, writeFileSync } from 'node:fs';
import { deserialize, serialize } from 'node:v8';
import type { Program } from '#src/program/program.js';
import type { DeviceFacts } from '#src/program/slot.js';

/** What a contender's process is told. */
export interface Task {
  probe: DeviceFacts;
  /** For tapwall: the policy, compiled. */
  program: Program;
  /** For nft and libnftables: the same policy as a file that takes $intf, with a table of its own name. */
  policyFile: string;
  /** The kernel's name of the table that it makes. */
  table: string;
  /** Where tapwall puts its transactions for the C program. */
  floorFiles: { attach: string; detach: string };
}

/** A structured clone, not JSON: a program holds bytes. It is what the agent's thread gets its programs by, too. */
export function writeTask(file: string, task: Task): void {
  writeFileSync(file, serialize(task));
}

export function readTask(file: string): Task {
  return deserialize(readFileSync(file)) as Task;
}
