import { Command } from 'commander';
import { VERSION } from '../version.js';
import { EXIT_HELP } from './output.js';

type MakeCommand = (exit: (status: number) => void) => Command;

/** A command's module brings its libraries along, so only the one that is asked for is loaded. */
const COMMANDS: Record<string, () => Promise<MakeCommand>> = {
  run: async () => (await import('./run.js')).runCommand,
  status: async () => (await import('./status.js')).statusCommand,
  events: async () => (await import('./events.js')).eventsCommand,
  admit: async () => (await import('./admit.js')).admitCommand,
  quarantine: async () => (await import('./quarantine.js')).quarantineCommand,
  policy: async () => (await import('./policy.js')).policyCommand,
  reload: async () => (await import('./reload.js')).reloadCommand,
  attach: async () => (await import('./attach.js')).attachCommand,
  bench: async () => (await import('./bench.js')).benchCommand,
  release: async () => (await import('./release.js')).releaseCommand,
  detach: async () => (await import('./detach.js')).detachCommand,
  list: async () => (await import('./list.js')).listCommand,
  counters: async () => (await import('./counters.js')).countersCommand,
  check: async () => (await import('./check.js')).checkCommand,
  compile: async () => (await import('./compile.js')).compileCommand,
  doctor: async () => (await import('./doctor.js')).doctorCommand,
  libvirt: async () => (await import('./libvirt.js')).libvirtCommand,
  demo: async () => (await import('./demo.js')).demoCommand,
};

/**
 * The command line: with the command of that name alone, where there is one, else with all.
 * @param exit is told the exit status of the command that runs.
 */
export async function makeProgram(exit: (status: number) => void, only?: string): Promise<Command> {
  const program = new Command('tapwall')
    .description('A firewall for VMs on macvtap devices. ingress is to the VM, egress is from the VM.')
    .version(VERSION)
    .showSuggestionAfterError()
    .addHelpText('after', EXIT_HELP)
    .exitOverride();
  const asked = COMMANDS[only ?? ''];
  for (const load of asked ? [asked] : Object.values(COMMANDS)) {
    const make = await load();
    program.addCommand(make(exit).exitOverride());
  }
  return program;
}
