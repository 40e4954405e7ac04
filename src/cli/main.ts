#!/usr/bin/env -S node --optimize-for-size --v8-pool-size=1
// The flags save a fifth of an agent's memory: a smaller young generation, and one thread beside for V8 in place of four. What an
// attachment takes is the same.
import { CommanderError } from 'commander';
import { makeProgram } from './commands.js';
import { EXIT, reportError } from './output.js';

// A reader that goes away (`| head`) is no reason to die: an agent goes on, and other commands end by themselves.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

let status: number = EXIT.success;
const program = await makeProgram((code) => {
  status = code;
}, process.argv[2]);

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
