import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import {
  HOOKS_FOLDER,
  type HookState,
  installHook,
  readHookState,
  uninstallHook,
} from '../libvirt/install.js';
import { EXIT, print, printError, printJson } from './output.js';

interface FolderOptions {
  hooksDir: string;
  json?: boolean;
}

interface InstallOptions extends FolderOptions {
  config: string;
  control: string;
  timeout: number;
  onFailure: 'refuse' | 'allow';
}

interface HookOptions {
  config: string;
  namespace?: string;
  timeout: number;
}

const CONFIG = '/etc/tapwall/tapwall.yaml';
const CONTROL = '/run/tapwall/tapwall.sock';
const TIMEOUT_MS = 10_000;
const LONGEST_TIMEOUT_MS = 600_000;

export function libvirtCommand(exit: (status: number) => void): Command {
  const command = new Command('libvirt')
    .description('the hook by which libvirt starts no guest that is not filtered')
    .addHelpText(
      'after',
      `
The hook tells the agent which devices are which guest's, so that bindings can name guests, and waits until they are
filtered. A guest that cannot be is not started, and who starts it is told why.

Examples:
  $ tapwall libvirt install
  $ tapwall libvirt install --on-failure allow --timeout 3000
  $ tapwall libvirt status --json`,
    );
  const subcommands = [installCommand(exit), uninstallCommand(exit), statusCommand(exit)];
  for (const one of subcommands) command.addCommand(one.exitOverride());
  command.addCommand(hookCommand(exit).exitOverride(), { hidden: true });
  return command;
}

function folderOptions(command: Command): Command {
  return command
    .option('--hooks-dir <dir>', 'where libvirt looks for its hooks', HOOKS_FOLDER)
    .option('--json', 'print JSON, one object a line');
}

function milliseconds(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > LONGEST_TIMEOUT_MS) {
    throw new InvalidArgumentError(`It must be 1 to ${LONGEST_TIMEOUT_MS} milliseconds.`);
  }
  return value;
}

function installCommand(exit: (status: number) => void): Command {
  const command = new Command('install')
    .description('put the hook into qemu.d, beside those that are there')
    .option('-c, --config <file>', 'the configuration for guests that start while no agent runs', CONFIG)
    .option('--control <socket>', 'the control socket of the agent', CONTROL)
    .option('--timeout <ms>', 'how long the start of a guest may be held up', milliseconds, TIMEOUT_MS)
    .addOption(
      new Option('--on-failure <what>', 'what becomes of a guest that is not filtered')
        .choices(['refuse', 'allow'])
        .default('refuse'),
    )
    .addHelpText(
      'after',
      `
With allow the guest is started, its devices are as the door leaves them (closed under placement prefix and names), and
libvirt's log has the reason.

Examples:
  $ tapwall libvirt install --config /etc/tapwall/tapwall.yaml`,
    );
  return folderOptions(command).action(async (options: InstallOptions) => {
    const { hookProgram } = await import('../kernel/hook-program.js');
    const before = readHookState(options.hooksDir);
    const state = installHook(options.hooksDir, {
      program: hookProgram(),
      control: resolve(options.control),
      timeoutMs: options.timeout,
      onFailure: options.onFailure,
      node: process.execPath,
      main: fileURLToPath(new URL('./main.js', import.meta.url)),
      config: resolve(options.config),
    });
    const mustRestart = !before.installed && before.others.length === 0;
    if (options.json) printJson({ event: 'installed', ...state, mustRestart });
    else {
      print(`installed ${state.path}`);
      if (mustRestart) {
        print(
          'libvirtd had no hook, and looks for hooks only when it starts: restart it (guests go on running)',
        );
      }
    }
    exit(EXIT.success);
  });
}

function uninstallCommand(exit: (status: number) => void): Command {
  const command = new Command('uninstall').description('remove the hook; others stay').addHelpText(
    'after',
    `
Examples:
  $ tapwall libvirt uninstall`,
  );
  return folderOptions(command).action(({ hooksDir, json }: FolderOptions) => {
    const removed = uninstallHook(hooksDir);
    const { path } = readHookState(hooksDir);
    if (json) printJson({ event: 'uninstalled', path, removed });
    else print(removed ? `removed ${path}` : `there is no hook of tapwall's in ${hooksDir}`);
    exit(EXIT.success);
  });
}

function statusCommand(exit: (status: number) => void): Command {
  const command = new Command('status')
    .description('whether the hook is there, and whether libvirt knows it')
    .addHelpText(
      'after',
      `
Ends with 1 where the hook is missing, or a daemon of libvirt's must be restarted to know it.

Examples:
  $ tapwall libvirt status`,
    );
  return folderOptions(command).action(async ({ hooksDir, json }: FolderOptions) => {
    const state = readHookState(hooksDir);
    const { libvirtDaemons } = await import('../libvirt/daemon.js');
    const unaware = state.installed ? libvirtDaemons().filter((one) => isUnaware(one.startedAt, state)) : [];
    if (json) printJson({ event: 'hook', ...state, mustRestart: unaware.map(({ name }) => name) });
    else {
      print(state.installed ? `installed: ${state.path}` : `not installed in ${hooksDir}`);
      for (const other of state.others) print(`another hook: ${other}`);
      for (const { name, pid } of unaware) {
        printError(
          `${name} (process ${pid}) started before it had a hook: restart it (guests go on running)`,
        );
      }
    }
    exit(state.installed && unaware.length === 0 ? EXIT.success : EXIT.failure);
  });
}

/** libvirt looks whether there are hooks when it starts; which there are, at each call. */
function isUnaware(startedAt: number, { path, others }: HookState): boolean {
  return [path, ...others].every((file) => {
    const { birthtimeMs, ctimeMs } = statSync(file);
    // Where the file system does not say when a file was made, the change of its mode does.
    return (birthtimeMs || ctimeMs) > startedAt;
  });
}

/** What the hook runs where no agent does. */
function hookCommand(exit: (status: number) => void): Command {
  return new Command('hook')
    .description('do an agent’s work once, for a guest whose domain XML comes on standard input')
    .argument('<guest>')
    .argument('<operation>')
    .requiredOption('-c, --config <file>', 'the configuration')
    .option('-n, --namespace <name|path>', 'network namespace of the devices')
    .option('--timeout <ms>', 'how long to take', milliseconds, TIMEOUT_MS)
    .addHelpText(
      'after',
      '\nExamples:\n  $ tapwall libvirt hook web-1 start --config /etc/tapwall/tapwall.yaml < web-1.xml',
    )
    .action(async (guest: string, operation: string, options: HookOptions) => {
      const { runStandIn } = await import('./libvirt-hook.js');
      const result = await runStandIn(guest, operation, options);
      if (!result.admitted) printError(`tapwall: ${result.message}`);
      exit(result.admitted ? EXIT.success : EXIT.failure);
    });
}
