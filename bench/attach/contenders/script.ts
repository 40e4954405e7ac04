import { writeFileSync } from 'node:fs';
import type { AttachContender } from './contender.js';
import { spawned } from './spawned.js';

/** As the usual libvirt hook is written: a phase, and the device that the hook has found. */
const HOOK = `#!/bin/sh
case $1 in
  started) nft -D intf="$2" -f "$3" ;;
  stopped) nft delete table netdev "$4" ;;
esac
`;

export const script: AttachContender = {
  name: 'script',
  title: 'a shell script, as a libvirt hook, that starts nft -f',
  startsNft: true,
  file: 'whole',
  prepare: (_namespacePath, { probe, policyFile, table }) => {
    const hook = `${policyFile}.sh`;
    writeFileSync(hook, HOOK);
    const facts = [probe.name, policyFile, table];
    return spawned('/bin/sh', { attach: [hook, 'started', ...facts], detach: [hook, 'stopped', ...facts] });
  },
};
