/** `npm run soak -- --pairs N`. */
import { Command } from 'commander';
import { growth, sampleWords } from './sample.js';
import { soakByHand, soakEvents } from './soak.js';
import { storm } from './storm.js';

const MIB = 2 ** 20;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const command = new Command('soak')
  .description(
    'devices attached and detached by the hundred thousand: memory, descriptors and kernel objects',
  )
  .option('--pairs <number>', 'how many through an agent', '200000')
  .option('--by-hand <number>', 'how many by hand', '20000')
  .option('--devices <number>', 'how many at a time', '200')
  .option('--life <rounds>', 'after how many rounds over all devices these are made anew', '20')
  .option('--storm <number>', 'how many devices come and go while the agent is stopped', '4000')
  .action(async (options: Record<string, string>) => {
    const number = (name: string) => Number(options[name]);
    const tell = (sample: Parameters<typeof sampleWords>[0]) => say(`  ${sampleWords(sample)}`);
    const start = performance.now();
    say('through an agent, by link events:');
    const common = { devices: number('devices'), say: tell };
    const events = await soakEvents({ ...common, pairs: number('pairs'), roundsOfALife: number('life') });
    say(`  grown by ${(growth(events) / MIB).toFixed(1)} MiB`);
    say('by hand:');
    const hand = await soakByHand({ ...common, devices: 20, pairs: number('byHand') });
    say(`  grown by ${(growth(hand) / MIB).toFixed(1)} MiB`);
    say(`a storm of ${number('storm')} devices:`);
    const { before, most, lines, left } = await storm(number('storm'), 40);
    say(`  ${(before / MIB).toFixed(1)} MiB before, at most ${(most / MIB).toFixed(1)} MiB`);
    say(`  ${left} devices left, ${lines.length} lines in the log`);
    for (const line of lines.slice(0, 8)) say(`    ${line}`);
    say(`in ${((performance.now() - start) / 1_000).toFixed(0)} s`);
  });
await command.parseAsync();
