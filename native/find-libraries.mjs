/**
 * Finds libnftables and libmnl for both ways to build the addon. binding.gyp runs it (`--cflags`, `--libs`,
 * `--modversion libmnl`) and gets flags on standard output; scripts/build-addon.mjs imports it to look before
 * cmake-js starts.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import { argv, exit, stderr, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';

/** The same as in CMakeLists.txt. */
const requires = ['libnftables >= 1.0', 'libmnl >= 1.0.4'];

/** What to install, by distribution: the one message for every way the build can miss something. */
export const installHelp = readFileSync(new URL('missing-requirements.txt', import.meta.url), 'utf8');

/** What pkg-config prints; undefined if it is absent, or does not find both libraries. */
export function pkgConfig(...options) {
  const { status, stdout: output } = spawnSync('pkg-config', options, { encoding: 'utf8' });
  return status === 0 ? output.trim() : undefined;
}

export function librariesFound() {
  return pkgConfig('--exists', ...requires) !== undefined;
}

// realpath: the checkout may be reached through a symbolic link, which Node follows for the one and not for
// the other.
if (argv[1] !== undefined && realpathSync(argv[1]) === fileURLToPath(import.meta.url)) {
  const [option = '--exists', ...names] = argv.slice(2);
  const flags = librariesFound() ? pkgConfig(option, ...(names.length > 0 ? names : requires)) : undefined;
  if (flags === undefined) {
    stderr.write(installHelp);
    exit(1);
  }
  stdout.write(`${flags}\n`);
}
