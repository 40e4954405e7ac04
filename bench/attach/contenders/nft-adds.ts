import type { AttachContender } from './contender.js';
import { spawned } from './spawned.js';

/** The best that `nft -f` can do: a small file that only adds. */
export const nftAdds: AttachContender = {
  name: 'nft-adds',
  title: 'nft -f, a file that only adds',
  startsNft: true,
  file: 'adds',
  prepare: (_namespacePath, { probe, policyFile, table }) =>
    spawned('nft', {
      attach: ['-D', `intf=${probe.name}`, '-f', policyFile],
      detach: ['delete', 'table', 'netdev', table],
    }),
};
