import type { Abilities } from '../../answer.js';
import type { Task } from '../task.js';

/** One way to give a device a table of its own; each is a module of this folder, and a process when it's measured. */
export interface AttachContender {
  name: string;
  /** How the report calls it. */
  title: string;
  /** Whether it starts nft, and so has to be in the namespace itself. */
  startsNft: boolean;
  /** What of the policy's file it reads; `adds` leaves out what deletes the table first. */
  file: 'whole' | 'adds';
  /** Gets ready; what it returns attaches and detaches, and gives nanoseconds. */
  prepare(namespacePath: string, task: Task): Required<Abilities>;
}

/** Nanoseconds that something takes. */
export function timed(work: () => void): bigint {
  const start = process.hrtime.bigint();
  work();
  return process.hrtime.bigint() - start;
}
