import { type ChildProcess, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
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
exec setpriv --reuid=65534 --regid=65534 --clear-groups $TAPWALL_TEST_SETPRIV "$node" "$folder/dist/cli/main.js" "$@"
`;

/** The one right that the agent cannot do without; what cannot be had later either. */
const NET_ADMIN_ALONE =
  '--inh-caps=-all,+net_admin --ambient-caps=+net_admin --bounding-set=-all,+net_admin --no-new-privs';

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

/**
 * Runs the command line as a user with CAP_NET_ADMIN and no other right, inside a network namespace of the test's: it names no
 * namespace, since it may enter none.
 * @param namespace a path.
 * @param folder an empty one, which is the caller's to remove.
 */
export function tapwallWithNetAdmin(namespace: string, folder: string, ...args: string[]): ChildProcess {
  // The guard against the machine's own network compares namespaces by what the process is in, which is the test's here.
  const { TAPWALL_FORBID_HOST_NAMESPACE: _, ...environment } = process.env;
  const command = [`--net=${namespace}`, 'unshare', '--mount', 'sh', '-c', SCRIPT, PROJECT, folder];
  return spawn('nsenter', [...command, process.execPath, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment, TAPWALL_TEST_SETPRIV: NET_ADMIN_ALONE },
  });
}
