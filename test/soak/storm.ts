/** Thousands of devices at once, which an agent hears of when all of it is over. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { statusIn } from '#src/agent/status.js';
import { GUARD, withFiles } from '../support/agent.js';
import { kernel, withLab } from '../support/host.js';
import { MAIN } from '../support/run.js';
import { PATIENCE_MS, until } from '../support/station.js';
import { memoryOf } from './sample.js';

const YAML = `placement: names
policies:
  lan: { guards: [mac, ethertype], egress: "ip daddr 192.168.0.0/16 drop", default: accept }
  own: { file: guard.nft }
bindings:
  - { alias: "own*", policy: own }
  - { alias: "lan*", policy: lan }
`;

/** What an agent has needed, and said. */
export interface StormOutcome {
  /** Bytes of resident memory before, and the most it ever had. */
  before: number;
  most: number;
  /** Lines of its log for people, from the storm on. */
  lines: string[];
  /** How many devices were left, which no binding matches. */
  left: number;
}

function mac(number: number): string {
  const byte = (value: number) => (value & 255).toString(16).padStart(2, '0');
  return `52:54:00:03:${byte(number >> 8)}:${byte(number)}`;
}

/**
 * Makes devices while an agent is stopped, renames some and deletes most; then lets it go on.
 * @returns when every device is behind the door, and the log says how many are.
 */
export async function storm(devices: number, keptOneIn: number): Promise<StormOutcome> {
  return await withLab((lab) =>
    withFiles({ 'tapwall.yaml': YAML, 'guard.nft': GUARD }, async (folder) => {
      const args = ['run', '--config', join(folder, 'tapwall.yaml'), '--namespace', lab.namespacePath];
      const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
      const pid = child.pid ?? 0;
      const lines: string[] = [];
      createInterface({ input: child.stderr }).on('line', (line) => lines.push(line));
      const exited = new Promise((resolve) => child.on('close', resolve));
      try {
        await until('the agent is ready', () => lines.some((line) => line.includes('ready')), PATIENCE_MS);
        const before = memoryOf(pid, 'VmRSS');
        const said = lines.length;
        child.kill('SIGSTOP');
        let left = 0;
        for (let number = 0; number < devices; number++) {
          const { index } = lab.addMacvtap({ name: `macvtap${number}`, mac: mac(number), up: false });
          if (number % 3 === 0) lab.rename(index, `macvtap-r${number}`);
          if (number % keptOneIn === 0) left++;
          else lab.remove(index);
        }
        child.kill('SIGCONT');
        const states = () => statusIn(kernel, lab.host.namespace).devices.map(({ state }) => state);
        await until(
          'each is seen',
          () => states().filter((state) => state === 'closed').length === left,
          PATIENCE_MS,
        );
        // The last sums come when it ends.
        child.kill('SIGTERM');
        const most = memoryOf(pid, 'VmHWM');
        await exited;
        return { before, most, lines: lines.slice(said), left };
      } finally {
        child.kill('SIGCONT');
        child.kill('SIGKILL');
        await exited;
      }
    }),
  );
}
