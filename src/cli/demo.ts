import { Command } from 'commander';
import { type DemoResult, runDemo } from '../demo/demo.js';
import { linuxKernel } from '../kernel/linux.js';
import { humanLog } from '../observe/human-log.js';
import { logEvent } from '../observe/log.js';
import { EXIT, print, printJson, printTable } from './output.js';

export function demoCommand(exit: (status: number) => void): Command {
  return new Command('demo')
    .description(
      'show it: real macvtap devices, the real agent and real frames, in namespaces that are thrown away',
    )
    .option('--json', 'print JSON, one object a line')
    .addHelpText(
      'after',
      `
Needs root. Nothing outside the throw-away namespaces is touched. Exit status 1 when a frame met another
verdict than it should have.

Examples:
  $ sudo tapwall demo`,
    )
    .action(async (options: { json?: boolean }) => exit(await demo(options.json === true)));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

async function demo(json: boolean): Promise<number> {
  const log = humanLog();
  const result = await runDemo(linuxKernel(), (event) => (json ? printJson(event) : logEvent(log, event)));
  const wrong = result.verdicts.filter(({ expected, seen }) => expected !== seen).length;
  if (json) {
    for (const verdict of result.verdicts) printJson({ event: 'verdict', ...verdict });
    const { attachMicroseconds, nftMicroseconds } = result;
    printJson({
      event: 'demonstrated',
      frames: result.verdicts.length,
      wrong,
      attachMicroseconds,
      nftMicroseconds,
    });
  } else {
    show(result, wrong);
  }
  return wrong === 0 ? EXIT.success : EXIT.failure;
}

function show({ verdicts, attachMicroseconds, nftMicroseconds }: DemoResult, wrong: number): void {
  printTable(
    ['from', 'to', 'frame', 'expected', 'seen', ''],
    verdicts.map(({ from, to, what, expected, seen }) => [
      from,
      to,
      what,
      expected,
      seen,
      expected === seen ? 'right' : 'WRONG',
    ]),
  );
  print(`attach, tapwall:      median ${median(attachMicroseconds)} µs of ${attachMicroseconds.length}`);
  if (nftMicroseconds)
    print(`attach, nft -f spawn: median ${median(nftMicroseconds)} µs of ${nftMicroseconds.length}`);
  else print('attach, nft -f spawn: nft is not installed');
  print(
    wrong === 0
      ? `All ${verdicts.length} frames met the right verdict.`
      : `${wrong} frames met the WRONG verdict.`,
  );
}
