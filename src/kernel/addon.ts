import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import bindings from 'bindings';
import { TapwallError } from '../error.js';
import type { NativeAddon } from './native.js';

/**
 * Of this package, whether it is seen from src/kernel or dist/kernel. Given to `bindings`, which would guess
 * it from a stack trace.
 */
const moduleRoot = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The two places that cmake-js and node-gyp build into, in the order of `bindings`: whoever made a debug
 * build wants it used.
 */
const candidates = [
  ['module_root', 'build', 'Debug', 'bindings'],
  ['module_root', 'build', 'Release', 'bindings'],
] as const;

let addon: NativeAddon | undefined;

/**
 * The compiled addon, loaded when it is first asked for: `--help`, the configuration and all pure code work
 * without it.
 * @throws TapwallError `ADDON_LOAD`, which lists each path that was tried and why it was no good.
 */
export function loadAddon(): NativeAddon {
  addon ??= load();
  return addon;
}

function load(): NativeAddon {
  const failures: { path: string; error: unknown }[] = [];
  for (const candidate of candidates) {
    try {
      // One by one: given the whole list, `bindings` stops at the first file that exists and does not load,
      // and forgets the others.
      return bindings({ bindings: 'tapwall', module_root: moduleRoot, try: [candidate] });
    } catch (error) {
      failures.push({ path: join(moduleRoot, ...candidate.slice(1, -1), 'tapwall.node'), error });
    }
  }
  const lines = failures.map(({ path, error }) => `  ${path}: ${reason(error)}`);
  throw new TapwallError('ADDON_LOAD', `The native addon could not be loaded.\n${lines.join('\n')}`, {
    cause: failures.find(({ error }) => !isAbsent(error))?.error,
    hint: hint(failures.map(({ error }) => error)),
  });
}

/**
 * `bindings` gives an error with `tries` when no file is there, and passes on what dlopen(3) said when one
 * is.
 */
function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'tries' in error;
}

function reason(error: unknown): string {
  if (isAbsent(error)) return 'no such file';
  return error instanceof Error ? error.message : String(error);
}

function hint(errors: readonly unknown[]): string {
  const text = errors.map(reason).join('\n');
  if (/lib(mnl|nftables)\.so/.test(text)) {
    return "A library that the addon needs is missing: 'apt-get install libnftables1 libmnl0', or what your distribution calls them.";
  }
  const build = "run 'npm rebuild tapwall' (in a checkout: 'npm run build:addon')";
  if (errors.every(isAbsent)) {
    return `It was not built: ${build}. That needs 'apt-get install libnftables-dev libmnl-dev pkg-config cmake g++ make'.`;
  }
  return `It was built for another Node, processor or C library: ${build}.`;
}
