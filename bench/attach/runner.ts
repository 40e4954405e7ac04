/**
 * The process of a contender that is written in TypeScript:
 *
 *     runner.js tapwall NAMESPACE TASK       builds the transaction and commits it, as the agent does
 *     runner.js libnftables NAMESPACE TASK   runs the file with libnftables inside the process
 *     runner.js nft NAMESPACE TASK           starts nft; the process must be in the namespace already
 *
 * TASK is a file that `task.ts` writes. For the protocol see `contender.ts`.
 */
import { spawnSync } from 'node:child_process';
import { loadAddon } from '#src/kernel/addon.js';
import { linuxKernel } from '#src/kernel/linux.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { attachBatch, attachLength } from '#src/program/attach.js';
import { answerQuestions } from '../answer.js';
import { readTask, type Task } from './task.js';

/** Attaches once; gives nanoseconds. */
type Attach = () => bigint;

function tapwall(namespacePath: string, { program, probe }: Task): Attach {
  const kernel = linuxKernel();
  const namespace = kernel.openNamespace(namespacePath);
  const netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
  return () => {
    const start = process.hrtime.bigint();
    const facts = { ...probe, links: new Map<string, number>() };
    netfilter.commitWith(attachLength(program, []), (sequence) => attachBatch(program, facts, sequence, []));
    return process.hrtime.bigint() - start;
  };
}

function libnftables(namespacePath: string, { policyFile, probe }: Task): Attach {
  const addon = loadAddon();
  const namespace = linuxKernel().openNamespace(namespacePath);
  const options = {
    namespace: namespace.fd,
    input: null,
    file: policyFile,
    variables: [`intf=${probe.name}`],
    includePaths: [],
    json: false,
    dryRun: false,
    outputFlags: 0,
  };
  return () => {
    const start = process.hrtime.bigint();
    const { status, error } = addon.runNftables(options);
    const elapsed = process.hrtime.bigint() - start;
    if (status !== 0) throw new Error(error);
    return elapsed;
  };
}

function nft(_namespacePath: string, { policyFile, probe }: Task): Attach {
  const args = ['-D', `intf=${probe.name}`, '-f', policyFile];
  return () => {
    const start = process.hrtime.bigint();
    const { status, error } = spawnSync('nft', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    const elapsed = process.hrtime.bigint() - start;
    if (status !== 0) throw error ?? new Error(`nft ended with ${status}`);
    return elapsed;
  };
}

const CONTENDERS: Record<string, (namespacePath: string, task: Task) => Attach> = {
  tapwall,
  libnftables,
  nft,
};

const [, , name = '', namespacePath = '', taskFile = ''] = process.argv;
const make = CONTENDERS[name];
if (!make) {
  process.stderr.write(`there is no contender ${name}\n`);
  process.exit(2);
}
answerQuestions({ attach: make(namespacePath, readTask(taskFile)) });
