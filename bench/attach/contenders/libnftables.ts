import { readFileSync } from 'node:fs';
import { loadAddon } from '#src/kernel/addon.js';
import { linuxKernel } from '#src/kernel/linux.js';
import type { Abilities } from '../../answer.js';
import type { Task } from '../task.js';
import { type AttachContender, timed } from './contender.js';
import { policyAsJson } from './json.js';

const OPTIONS = { file: null, variables: [], includePaths: [], dryRun: false, outputFlags: 0 };

function inProcess(
  namespacePath: string,
  json: boolean,
  input: { attach: string; detach: string },
): Required<Abilities> {
  const addon = loadAddon();
  const namespace = linuxKernel().openNamespace(namespacePath);
  const run = (text: string) =>
    timed(() => {
      const { status, error } = addon.runNftables({ ...OPTIONS, namespace: namespace.fd, json, input: text });
      if (status !== 0) throw new Error(error);
    });
  return { attach: () => run(input.attach), detach: () => run(input.detach) };
}

function textOf({ probe, policyFile, table }: Task): { attach: string; detach: string } {
  return {
    attach: `define intf = ${probe.name}\n${readFileSync(policyFile, 'utf8')}`,
    detach: `delete table netdev ${table}\n`,
  };
}

export const libnftables: AttachContender = {
  name: 'libnftables',
  title: 'libnftables in the process, text',
  startsNft: false,
  file: 'whole',
  prepare: (namespacePath, task) => inProcess(namespacePath, false, textOf(task)),
};

export const libnftablesJson: AttachContender = {
  name: 'libnftables-json',
  title: 'libnftables in the process, JSON',
  startsNft: false,
  file: 'whole',
  prepare: (namespacePath, { probe, table }) =>
    inProcess(namespacePath, true, policyAsJson(table, probe.name)),
};
