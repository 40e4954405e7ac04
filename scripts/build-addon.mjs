/**
 * Builds build/Release/tapwall.node with cmake-js, and only what has changed. npm runs this as the `install`
 * script, so it uses nothing but Node and the package's dependencies, and fetches nothing: cmake-js has the
 * headers of Node-API with it, and uses them because of `binary.napi_versions` in native/package.json.
 *
 * TAPWALL_SANITIZE=address,undefined builds an instrumented addon instead, in the same place, until the next
 * build without it. Node must be started with LD_PRELOAD="libasan.so libubsan.so" to load such a one;
 * scripts/asan.sh does all of that in a copy.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { env, execPath, exit, stderr } from 'node:process';
import { fileURLToPath } from 'node:url';
import { installHelp, librariesFound } from '../native/find-libraries.mjs';

const native = fileURLToPath(new URL('../native', import.meta.url));
const build = fileURLToPath(new URL('../build', import.meta.url));
const sanitize = env.TAPWALL_SANITIZE || 'off';

function fail(message) {
  stderr.write(`${message.trimEnd()}\n`);
  exit(1);
}

function isInstalled(command) {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

/**
 * Resolved, not taken from node_modules/.bin beside us: npm puts cmake-js wherever it likes in the tree of
 * whoever installs tapwall.
 */
const cmakeJsCommand = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');

function cmakeJs(command, options, stdio = 'inherit') {
  const where = ['--directory', native, '--out', build];
  return spawnSync(execPath, [cmakeJsCommand, command, ...where, ...options], { stdio }).status === 0;
}

function configure() {
  const options = ['--log-level', 'warn', `--CDTAPWALL_SANITIZE=${sanitize}`];
  if (existsSync(`${build}/CMakeCache.txt`)) {
    if (cmakeJs('configure', options, 'ignore')) return true;
    // The cache is of another place, generator or compiler: CMake wants it gone, and says so at length.
    rmSync(build, { recursive: true });
  }
  return cmakeJs('configure', options);
}

if (sanitize !== 'off' && !/^[a-z]+(,[a-z]+)*$/.test(sanitize)) {
  fail(
    `TAPWALL_SANITIZE must be a list for the compiler's -fsanitize, such as address,undefined: ${sanitize}`,
  );
}
// The two compilers that cmake-js looks for.
const compilerFound = isInstalled('g++') || isInstalled('clang++');
if (!librariesFound() || !compilerFound || !isInstalled('cmake')) fail(installHelp);
if (!configure()) exit(1);
if (!cmakeJs('build', ['--log-level', 'warn', '--parallel', String(availableParallelism())])) exit(1);
