import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

/** What the program consists of. */
const PARTS = ['dist', 'build', 'node_modules', 'package.json'];

/**
 * Mounts the program where anybody may read it, in a mount namespace of its own: the project may lie where only root gets
 * (/root, or what mktemp -d makes). Then it is `nobody` who runs it.
 */
const SCRIPT = `
set -e
chmod 755 "$1"
for part in ${PARTS.join(' ')}; do
  if [ -d "$0/$part" ]; then mkdir "$1/$part"; else : > "$1/$part"; fi
  mount --bind "$0/$part" "$1/$part"
done
cd /
folder=$1
node=$2
shift 2
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$node" "$folder/dist/cli/main.js" "$@"
`;

/** Runs the command line as a user without any right. */
export function tapwallAsNobody(...args: string[]): SpawnSyncReturns<string> {
  const folder = mkdtempSync(join(tmpdir(), 'tapwall-nobody-'));
  try {
    const command = ['--mount', 'sh', '-c', SCRIPT, PROJECT, folder, process.execPath, ...args];
    return spawnSync('unshare', command, { encoding: 'utf8' });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
