import type { AttachContender } from './contender.js';
import { spawnedNft } from './spawned.js';

/** What a service in Node does that has no better way. */
export const nft: AttachContender = {
  name: 'nft',
  title: 'nft -f, spawned from Node',
  startsNft: true,
  file: 'whole',
  prepare: (_namespacePath, task) => spawnedNft(task),
};
