/** `npm run campaign -- --steps N --seed S [--placement P] [--host-steps N]`. */
import { randomInt } from 'node:crypto';
import { Command, Option } from 'commander';
import type { Placement } from '#src/config/configuration.js';
import { PLACEMENTS } from '../support/agent.js';
import { runCampaign, STEPS_ON_ONE_HOST } from './campaign.js';

interface Options {
  steps: string;
  seed?: string;
  placement?: Placement;
  hostSteps: string;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const command = new Command('campaign')
  .description('random steps over a host with guests, which nothing must open')
  .option('--steps <number>', 'how many', '1000')
  .option('--seed <number>', 'what to draw the steps from (default: another each time)')
  .addOption(new Option('--placement <name>', 'one only').choices(PLACEMENTS))
  .option('--host-steps <number>', 'how many on one host, before the next', String(STEPS_ON_ONE_HOST))
  .action(async ({ steps, seed = String(randomInt(2 ** 32)), placement, hostSteps }: Options) => {
    say(`seed ${seed}, ${steps} steps`);
    const start = performance.now();
    const interrupt = new AbortController();
    process.once('SIGINT', () => interrupt.abort());
    try {
      const tally = await runCampaign({
        seed: Number(seed),
        steps: Number(steps),
        stepsOnOneHost: Number(hostSteps),
        placement,
        signal: interrupt.signal,
        say,
      });
      for (const line of tally.lines()) say(line);
      const seconds = (performance.now() - start) / 1_000;
      const each = (count: number) => (count / seconds).toFixed(1);
      say(
        `in ${seconds.toFixed(0)} s: ${each(tally.steps)} steps and ${each(tally.framesSent)} frames a second`,
      );
    } catch (error) {
      say(error instanceof Error ? error.message : String(error));
      process.exitCode = 1;
    }
  });
await command.parseAsync();
