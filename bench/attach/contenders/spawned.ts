import { spawnSync } from 'node:child_process';
import type { Abilities } from '../../answer.js';
import type { Task } from '../task.js';
import { timed } from './contender.js';

/** `nft -f` with the policy's file, and `nft delete table`. */
export function spawnedNft({ probe, policyFile, table }: Task): Required<Abilities> {
  return spawned('nft', {
    attach: ['-D', `intf=${probe.name}`, '-f', policyFile],
    detach: ['delete', 'table', 'netdev', table],
  });
}

/** What starts a program for each operation. @throws Error when the program fails. */
export function spawned(
  program: string,
  args: { attach: readonly string[]; detach: readonly string[] },
): Required<Abilities> {
  const run = (words: readonly string[]) =>
    timed(() => {
      const { status, error } = spawnSync(program, words, { stdio: ['ignore', 'ignore', 'inherit'] });
      if (status !== 0) throw error ?? new Error(`${program} ended with ${status}`);
    });
  return { attach: () => run(args.attach), detach: () => run(args.detach) };
}
