/** `npm run fuzz -- --inputs N --seed S [--target NAME]`. */
import { randomInt } from 'node:crypto';
import { Command, Option } from 'commander';
import { fuzz } from './fuzz.js';
import { TARGETS } from './targets.js';

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const names = TARGETS.map(({ name }) => name);
const command = new Command('fuzz')
  .description('inputs that nobody would send, for everything that reads what others write')
  .option('--inputs <number>', 'how many, of all targets together', '1000000')
  .option('--seed <number>', 'what to make them from (default: another each time)')
  .addOption(new Option('--target <name>', 'one only').choices(names))
  .action(async ({ inputs, seed = String(randomInt(2 ** 31)), target }: Record<string, string>) => {
    say(`seed ${seed}`);
    const targets = TARGETS.filter(({ name }) => target === undefined || name === target);
    const start = performance.now();
    const tally = await fuzz({ seed: Number(seed), inputs: Number(inputs), targets, say });
    say(`${tally.inputs} inputs in ${((performance.now() - start) / 1_000).toFixed(0)} s, no crash, no hang`);
  });
await command.parseAsync();
