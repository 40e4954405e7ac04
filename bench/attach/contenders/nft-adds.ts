import type { AttachContender } from './contender.js';
import { spawnedNft } from './spawned.js';

/** The best that `nft -f` can do: a small file that only adds. */
export const nftAdds: AttachContender = {
  name: 'nft-adds',
  title: 'nft -f, a file that only adds',
  startsNft: true,
  file: 'adds',
  prepare: (_namespacePath, task) => spawnedNft(task),
};
