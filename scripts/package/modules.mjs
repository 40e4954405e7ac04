/**
 * Copies the packages that tapwall needs when it runs, and no others, as npm has them in node_modules: modules.mjs FOLDER.
 * What builds the addon is left out.
 */
import { cpSync, existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '');
const modules = join(root, 'node_modules');
const BUILD_ONLY = new Set(['cmake-js', 'node-addon-api']);
/** What nobody runs: sources, type declarations and settings of tools, and folders beside the code. */
const PASSED_BY = /\.(?:[cm]?ts|map|md|markdown|ya?ml|html|sh)$|\/\.[^/]*$/;
const FOLDERS_PASSED_BY = /^\/(?:test|tests|__tests__|docs?|examples?|benchmarks?)$/;
const KEPT = /licen[cs]e|copying|notice/i;

const target = argv[2];
if (!target) throw new Error('modules.mjs FOLDER');

/** As Node looks for it: in the node_modules of the folder and of those above. */
function find(name, from) {
  for (let folder = from; ; folder = dirname(folder)) {
    const there = join(folder, 'node_modules', name);
    if (existsSync(join(there, 'package.json'))) return there;
    if (folder === root || folder === dirname(folder)) return undefined;
  }
}

const wanted = new Set();
function want(folder) {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const { dependencies = {}, optionalDependencies = {} } = manifest;
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    if (folder === root && BUILD_ONLY.has(name)) continue;
    const found = find(name, folder);
    if (!found && name in optionalDependencies) continue;
    if (!found) throw new Error(`${name}, which ${folder} needs, is not installed`);
    if (wanted.has(found)) continue;
    wanted.add(found);
    want(found);
  }
}
want(root);

for (const folder of [...wanted].sort()) {
  const isCode = (path) => {
    const inside = path.slice(folder.length);
    if (inside === '' || KEPT.test(inside)) return true;
    // Packages inside are copied on their own, where they are wanted.
    return !/^\/node_modules$/.test(inside) && !PASSED_BY.test(inside) && !FOLDERS_PASSED_BY.test(inside);
  };
  cpSync(realpathSync(folder), resolve(target, relative(modules, folder)), {
    recursive: true,
    filter: isCode,
  });
}
