import type { AttachContender } from './contender.js';
import { interactive } from './interactive.js';
import { libnftables, libnftablesJson } from './libnftables.js';
import { nft } from './nft.js';
import { nftAdds } from './nft-adds.js';
import { script } from './script.js';
import { tapwall } from './tapwall.js';

/** tapwall is first: it writes the files of the floor, and the others must make what it makes. */
export const ATTACH_CONTENDERS: readonly AttachContender[] = [
  tapwall,
  nft,
  script,
  nftAdds,
  interactive,
  libnftables,
  libnftablesJson,
];
