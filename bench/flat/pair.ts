import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { YOUNG_GENERATION_MB } from '#src/agent/agent-thread.js';
import type { Plan } from '#src/agent/plan.js';
import { Contender } from '../contender.js';
import type { Field } from './field.js';
import { writeTask } from './task.js';

const RUNNER = fileURLToPath(new URL('./runner.js', import.meta.url));
const FLOOR = fileURLToPath(new URL('../floor', import.meta.url));

/** tapwall, and C that sends the transactions that this very tapwall has sent. */
export interface Pair {
  tapwall: Contender;
  floor: Contender;
}

/**
 * Starts both on some devices of a field, which the agent has attached.
 * @param folder for their files; empty, or of a pair that has ended.
 */
export async function startPair(
  field: Field,
  plan: Plan,
  folder: string,
  indexes: readonly number[],
): Promise<Pair> {
  const { namespacePath } = field;
  const name = `${field.devices}-${indexes.length}`;
  const [taskFile, attachFile, detachFile] = ['task', 'attach', 'detach'].map((what) =>
    join(folder, `${name}.${what}`),
  ) as [string, string, string];
  writeTask(taskFile, { plan, indexes, attachFile, detachFile });
  const tapwall = await Contender.start({
    title: 'tapwall',
    command: process.execPath,
    // As the agent's thread has it.
    args: [`--max-semi-space-size=${YOUNG_GENERATION_MB / 3}`, RUNNER, namespacePath, taskFile],
  });
  try {
    const args = [namespacePath, attachFile, detachFile];
    return { tapwall, floor: await Contender.start({ title: 'C, the same bytes', command: FLOOR, args }) };
  } catch (error) {
    tapwall.close();
    throw error;
  }
}

export function closePair({ tapwall, floor }: Pair): void {
  tapwall.close();
  floor.close();
}
