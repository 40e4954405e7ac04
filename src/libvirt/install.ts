import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { TapwallError } from '../error.js';

/** Where libvirt looks for its hooks. */
export const HOOKS_FOLDER = '/etc/libvirt/hooks';

/** After hooks that prepare something, before those that want a guest's network to be filtered. */
const SCRIPT_NAME = '50-tapwall';

/** By this a script is known as tapwall's. */
const SIGNATURE = '# Written by tapwall libvirt install;';

export interface HookSettings {
  /** The program that talks to the agent. */
  program: string;
  /** The control socket of the agent. */
  control: string;
  /** How long a guest's start may be held up, in milliseconds. */
  timeoutMs: number;
  /** What becomes of a guest that is not filtered. */
  onFailure: 'refuse' | 'allow';
  /** Node and tapwall's main module, and the configuration they use where no agent runs. */
  node: string;
  main: string;
  config: string;
}

export interface HookState {
  /** The script's path. */
  path: string;
  installed: boolean;
  /** Other hooks for qemu, by path. */
  others: string[];
}

/** What libvirt finds in its folder of hooks. */
export function readHookState(folder: string): HookState {
  const path = scriptPath(folder);
  const scripts = executables(`${folder}/qemu.d`);
  if (isExecutable(`${folder}/qemu`)) scripts.unshift(`${folder}/qemu`);
  return { path, installed: isOurs(path), others: scripts.filter((one) => one !== path) };
}

/**
 * Writes the hook. Others stay as they are.
 * @throws TapwallError HOOK where something else has its name, or the folder cannot be written.
 */
export function installHook(folder: string, settings: HookSettings): HookState {
  const path = scriptPath(folder);
  if (exists(path) && !isOurs(path)) {
    throw new TapwallError('HOOK', `${path} is there and is not tapwall’s`, {
      hint: 'Move it away, or give it another name.',
    });
  }
  const text = hookScript(settings);
  attempt(path, () => {
    mkdirSync(`${folder}/qemu.d`, { recursive: true, mode: 0o755 });
    // Whole or not at all: libvirt may run it this very moment. It passes by what is no executable file.
    const draft = `${path}.new`;
    writeFileSync(draft, text, { mode: 0o600 });
    renameSync(draft, path);
    chmodSync(path, 0o755);
  });
  return readHookState(folder);
}

/** Removes the hook; others stay as they are. @returns whether it was there. */
export function uninstallHook(folder: string): boolean {
  const path = scriptPath(folder);
  if (!isOurs(path)) return false;
  attempt(path, () => rmSync(path));
  return true;
}

function scriptPath(folder: string): string {
  return join(folder, 'qemu.d', SCRIPT_NAME);
}

/**
 * The script: at operations that are none of tapwall's business it ends at once, and a tapwall that has been removed keeps
 * no guest from starting or going on, but for the one that would start unfiltered.
 */
export function hookScript(settings: HookSettings): string {
  const { program, control, timeoutMs, onFailure, node, main, config } = settings;
  const words = [program, control, String(timeoutMs), onFailure, node, main, config].map(shellQuote);
  return `#!/bin/sh
${SIGNATURE} changes are lost when it runs again.
# Keeps a guest from starting whose macvtap devices are not filtered (tapwall(8)).
case $2 in
  start | reconnect | release) ;;
  *) exit 0 ;;
esac
if [ ! -x ${words[0]} ]; then
  [ "$2" = start ] || exit 0
  echo ${shellQuote(`tapwall: ${program} is not there any more; remove this hook`)} >&2
  exit ${onFailure === 'refuse' ? 1 : 0}
fi
exec ${words.join(' ')} -- "$@"
`;
}

function shellQuote(text: string): string {
  return /^[A-Za-z0-9_/.,:=+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function attempt(path: string, action: () => void): void {
  try {
    action();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TapwallError('HOOK', `cannot change ${path}: ${reason}`, { cause });
  }
}

function isOurs(path: string): boolean {
  try {
    return readFileSync(path, 'utf8').includes(SIGNATURE);
  } catch {
    return false;
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function executables(folder: string): string[] {
  try {
    return readdirSync(folder)
      .sort()
      .map((name) => join(folder, name))
      .filter(isExecutable);
  } catch {
    return [];
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
