import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Agent } from '#src/agent/agent.js';
import type { Placement } from '#src/config/configuration.js';
import { loadConfiguration } from '#src/config/load.js';
import type { Lab } from '#src/demo/lab.js';
import { endWithRun } from '../cleanup.js';

export type ContenderName = Placement | 'script' | 'none';

export interface Contender {
  name: ContenderName;
  title: string;
  /** Whether no frame at all may pass. */
  closed: boolean;
  /** Puts it to work on a lab's host. @returns what ends it. */
  start(lab: Lab, folder: string): Promise<() => Promise<void>>;
}

const RECIPE = fileURLToPath(new URL('../../examples/filtermacvtap.nft', import.meta.url));

/** The rules of the recipe. */
const CONFIGURATION = `policies:
  lan:
    guards: []
    ingress: |
      ip saddr 192.168.2.1 accept
      ip saddr 192.168.0.0/16 drop
    egress: |
      ip daddr 192.168.2.1 accept
      ip daddr 192.168.0.0/16 drop
    default: accept
bindings: [{ device: "*", policy: lan }]
`;

/** The usual recipe, run by whoever hears of a link: once for each device, as soon as it is told of. */
const SCRIPT = `last=
ip -o monitor link | while read -r index name rest; do
  case $index in Deleted) continue ;; esac
  case $name in macvtap*) ;; *) continue ;; esac
  [ "$index" = "$last" ] && continue
  last=$index
  nft -D intf="\${name%%@*}" -f "$1"
done
`;
/** ip says nothing when it has begun to listen. */
const MONITOR_MS = 500;

function tapwall(placement: Placement, title: string, closed: boolean): Contender {
  return {
    name: placement,
    title,
    closed,
    start: async (lab, folder) => {
      const file = join(folder, 'tapwall.yaml');
      writeFileSync(file, `placement: ${placement}\n${CONFIGURATION}`);
      const agent = await Agent.start(loadConfiguration(file), { namespace: lab.host.namespace });
      return () => agent.stop();
    },
  };
}

const script: Contender = {
  name: 'script',
  title: 'a script that runs nft on RTM_NEWLINK',
  closed: false,
  start: async (lab) => {
    const args = [`--net=${lab.namespacePath}`, 'bash', '-c', SCRIPT, 'script', RECIPE];
    const child = endWithRun(
      spawn('nsenter', args, { stdio: ['ignore', 'ignore', 'inherit'], detached: true }),
      { group: true },
    );
    await sleep(MONITOR_MS);
    return () => endGroup(child);
  },
};

/** The script and `ip` beside it are one process group. */
async function endGroup(child: ChildProcess): Promise<void> {
  const closed = once(child, 'close');
  if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
  await closed;
}

const none: Contender = {
  name: 'none',
  title: 'nothing',
  closed: false,
  start: async () => async () => undefined,
};

export const CONTENDERS: readonly Contender[] = [
  tapwall('prefix', 'tapwall, placement prefix', true),
  tapwall('names', 'tapwall, placement names', true),
  tapwall('device', 'tapwall, placement device', false),
  tapwall('chain', 'tapwall, placement chain', false),
  script,
  none,
];
