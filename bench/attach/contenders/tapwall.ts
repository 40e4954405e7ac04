import { writeFileSync } from 'node:fs';
import { linuxKernel } from '#src/kernel/linux.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { encodeTransaction, transactionLength } from '#src/nftables/transaction.js';
import { attachBatch, attachLength, detachSegment } from '#src/program/attach.js';
import { type AttachContender, timed } from './contender.js';

/** The transaction that an agent builds and commits for a policy that is a file. */
export const tapwall: AttachContender = {
  name: 'tapwall',
  title: 'tapwall, a file',
  startsNft: false,
  file: 'whole',
  prepare: (namespacePath, { program, probe, table, floorFiles }) => {
    const kernel = linuxKernel();
    const namespace = kernel.openNamespace(namespacePath);
    const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
    const detach = [detachSegment([table])];
    // For the floor, which sends the same.
    writeFileSync(floorFiles.attach, attachBatch(program, probe, 1).bytes);
    writeFileSync(floorFiles.detach, encodeTransaction(detach, 1).bytes);
    return {
      attach: () =>
        timed(() => {
          const facts = { ...probe, links: new Map<string, number>() };
          netfilter.commitWith(attachLength(program, []), (sequence) =>
            attachBatch(program, facts, sequence, []),
          );
        }),
      detach: () =>
        timed(() => {
          netfilter.commitWith(transactionLength(detach), (sequence) => encodeTransaction(detach, sequence));
        }),
    };
  },
};
