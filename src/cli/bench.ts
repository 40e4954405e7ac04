import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { TapwallError } from '../error.js';

const BENCHMARK = fileURLToPath(new URL('../../dist-bench/main.js', import.meta.url));

export function benchCommand(exit: (status: number) => void): Command {
  return new Command('bench')
    .description(
      'measure tapwall on this host against nft and libnftables, in namespaces that are thrown away',
    )
    .argument('[arguments...]', 'for the benchmark, behind --; `tapwall bench -- --help` lists them')
    .addHelpText(
      'after',
      `
Needs root, a C compiler and libmnl's headers; without nft it leaves out what compares with it. Nothing outside
the throw-away namespaces is touched. The whole run takes half an hour, a quick one two minutes.

Examples:
  $ sudo tapwall bench -- --quick
  $ sudo tapwall bench -- --only attach,leak --sizes 1,100,1000
  $ sudo tapwall bench -- --json results.json --html results.html`,
    )
    .action(async (args: readonly string[]) => exit(await bench(args)));
}

/** Runs the benchmark in a process of its own, which is kept from the host's namespace. @returns its exit status. */
async function bench(args: readonly string[]): Promise<number> {
  if (!existsSync(BENCHMARK)) {
    throw new TapwallError('NOT_SUPPORTED', `this installation has no benchmark: there is no ${BENCHMARK}`, {
      hint: 'Install tapwall with npm, or run `npm run build` in a checkout.',
    });
  }
  const child = spawn(process.execPath, ['--enable-source-maps', BENCHMARK, ...args], {
    stdio: 'inherit',
    env: { ...process.env, TAPWALL_FORBID_HOST_NAMESPACE: '1' },
  });
  // It hears of Ctrl-C itself, cleans up and ends; whoever signals this process alone means it as well.
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  const ignore = () => undefined;
  process.on('SIGINT', ignore).on('SIGTERM', forward);
  const [status] = (await once(child, 'close')) as [number | null];
  process.off('SIGINT', ignore).off('SIGTERM', forward);
  return status ?? 1;
}
