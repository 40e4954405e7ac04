#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { EXIT, EXIT_HELP, reportError } from './output.js';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

// A reader that goes away (`| head`) is no reason to die: an agent goes on, and other commands end by themselves.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

let status: number = EXIT.success;
const exit = (code: number) => {
  status = code;
};

const program = new Command('tapwall')
  .description('A firewall for VMs on macvtap devices. ingress is to the VM, egress is from the VM.')
  .version(version)
  .showSuggestionAfterError()
  .addHelpText('after', EXIT_HELP)
  .exitOverride();

type MakeCommand = (exit: (status: number) => void) => Command;

/** A command's module brings its libraries along, so only the one that is asked for is loaded. */
const commands: Record<string, () => Promise<MakeCommand>> = {
  run: async () => (await import('./run.js')).runCommand,
  attach: async () => (await import('./attach.js')).attachCommand,
  release: async () => (await import('./release.js')).releaseCommand,
  detach: async () => (await import('./detach.js')).detachCommand,
  list: async () => (await import('./list.js')).listCommand,
  counters: async () => (await import('./counters.js')).countersCommand,
  check: async () => (await import('./check.js')).checkCommand,
  compile: async () => (await import('./compile.js')).compileCommand,
  doctor: async () => (await import('./doctor.js')).doctorCommand,
  demo: async () => (await import('./demo.js')).demoCommand,
};

const asked = commands[process.argv[2] ?? ''];
for (const load of asked ? [asked] : Object.values(commands)) {
  const make = await load();
  program.addCommand(make(exit).exitOverride());
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // commander has said what was wrong; help and --version end here too, with 0.
    status = error.exitCode === 0 ? EXIT.success : EXIT.usage;
  } else {
    status = reportError(error, process.argv.includes('--json'));
  }
}
process.exitCode = status;
