#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { attachCommand } from './attach.js';
import { checkCommand } from './check.js';
import { compileCommand } from './compile.js';
import { demoCommand } from './demo.js';
import { detachCommand } from './detach.js';
import { doctorCommand } from './doctor.js';
import { listCommand } from './list.js';
import { EXIT, EXIT_HELP, reportError } from './output.js';
import { runCommand } from './run.js';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

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

for (const make of [
  runCommand,
  attachCommand,
  detachCommand,
  listCommand,
  checkCommand,
  compileCommand,
  doctorCommand,
  demoCommand,
]) {
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
