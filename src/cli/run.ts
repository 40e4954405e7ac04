import { Command } from 'commander';
import { addKernelOptions, withoutOption } from './options.js';
import { giveUpRights } from './rights.js';
import type { RunOptions } from './run-agent.js';

export function runCommand(exit: (status: number) => void): Command {
  const command = new Command('run')
    .description('keep every device behind its policy: those that are there, then each that appears')
    .requiredOption('-c, --config <file>', 'the configuration')
    .option(
      '--detach-on-exit',
      'when stopping, take the filters and the door away: every device is open then (default: they stay)',
    )
    .option(
      '--keep-rights',
      'keep all capabilities (default: root gives up those for good that an agent does not need)',
    )
    .addOption(withoutOption())
    .addHelpText(
      'after',
      `
SIGINT and SIGTERM stop it, SIGHUP reads the configuration again, SIGUSR2 (tapwall release) gives its tables up.
A configuration with an error is not
used, and the old one stays in force. Once stopped or killed, what filters stays; under placement prefix and
names new devices stay closed until it runs again.

Events under --json: ready (with the placement), attached, detached, unmatched (closed: everything is
dropped), failed, overflow, repaired (somebody else had changed the filters), released, warning, reloaded,
reload-failed, stopped, error; where the configuration lists namespaces also namespace-ready, namespace-gone,
namespace-failed.

Examples:
  $ tapwall run --config /etc/tapwall/tapwall.yaml
  $ tapwall run --config tapwall.yaml --namespace vms --json`,
    );
  return addKernelOptions(command).action(async (options: RunOptions) => {
    const complaint = options.keepRights ? undefined : giveUpRights(options);
    const { runAgent } = await import('./run-agent.js');
    exit(await runAgent(options, complaint));
  });
}
