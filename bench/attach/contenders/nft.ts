import type { AttachContender } from './contender.js';
import { spawned } from './spawned.js';

/** What a service in Node does that has no better way. */
export const nft: AttachContender = {
  name: 'nft',
  title: 'nft -f, spawned from Node',
  startsNft: true,
  file: 'whole',
  prepare: (_namespacePath, { probe, policyFile, table }) =>
    spawned('nft', {
      attach: ['-D', `intf=${probe.name}`, '-f', policyFile],
      detach: ['delete', 'table', 'netdev', table],
    }),
};
