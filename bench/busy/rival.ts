/**
 * Another program of the same host that changes nf_tables all the time:
 *
 *     rival.js NAMESPACE ELEMENTS
 *
 * It adds so many elements to a set of its own in one transaction, and takes them out again, for ever. Says `ready` when it
 * has begun.
 */
import { loadAddon } from '#src/kernel/addon.js';
import { linuxKernel } from '#src/kernel/linux.js';

const [, , namespacePath = '', elements = ''] = process.argv;
const addon = loadAddon();
const namespace = linuxKernel().openNamespace(namespacePath);
const addresses = Array.from(
  { length: Number(elements) },
  (_, number) => `10.0.${number >> 8}.${number & 0xff}`,
);
const options = { file: null, variables: [], includePaths: [], dryRun: false, outputFlags: 0, json: false };

function run(input: string): void {
  const { status, error } = addon.runNftables({ ...options, namespace: namespace.fd, input });
  if (status !== 0) throw new Error(error);
}

run('table ip rival { set many { type ipv4_addr; }\n}\n');
process.stdout.write('ready\n');
for (;;) {
  run(`add element ip rival many { ${addresses.join(', ')} }\n`);
  run('flush set ip rival many\n');
}
