import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentEvent } from '#src/agent/event.js';
import { statusIn } from '#src/agent/status.js';
import type { Placement } from '#src/config/configuration.js';
import type { Lab } from '#src/demo/lab.js';
import { GUARD, ONE_POLICY, PLACEMENTS, withFiles } from '../support/agent.js';
import { kernel, withLab } from '../support/host.js';
import { fates, packet, until } from '../support/station.js';

const INDEX = new URL('../../dist/index.js', import.meta.url).href;
const LAN = { destination: '192.168.7.7' };
/** The service is held for some seconds: so many devices come, with a pause before each. */
const DEVICES = 20;
const PAUSE_MS = 100;

/** What keeps the service's only thread from everything else, until its standard input or a file says so. */
const WAYS = {
  'blocked in a system call': "readSync(0, Buffer.alloc(1)); heard('after');",
  'busy with JavaScript': "while (!existsSync(release)); heard('after');",
} as const;

interface Report {
  /** How many events the service's main thread had been given when it was held, and when it was let go. */
  before: number;
  after: number;
  events: AgentEvent[];
}

/**
 * Runs a service that embeds the agent and then holds its main thread. Devices are made, and looked at, by this process:
 * what it sees filtered was filtered by a process whose main thread did nothing.
 */
async function whileHeld(
  lab: Lab,
  folder: string,
  way: keyof typeof WAYS,
  action: () => Promise<void>,
): Promise<Report> {
  const release = join(folder, 'release');
  const script = `
    import { existsSync, readSync, writeSync } from 'node:fs';
    import { Agent, linuxKernel, loadConfiguration } from ${JSON.stringify(INDEX)};
    const release = ${JSON.stringify(release)};
    const tell = (line) => writeSync(1, JSON.stringify(line) + '\\n');
    const namespace = linuxKernel().openNamespace(${JSON.stringify(lab.namespacePath)});
    const events = [];
    const agent = await Agent.start(
      loadConfiguration(${JSON.stringify(join(folder, 'tapwall.yaml'))}), { namespace }, (event) => events.push(event));
    const heard = (when) => tell({ [when]: events.length });
    heard('before');
    ${WAYS[way]}
    await agent.stop();
    tell({ events });
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines: Partial<Report>[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line)));
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  try {
    await until('the service is held', () => lines.length === 1 || child.exitCode !== null);
    await action();
    assert.equal(lines.length, 1, 'the service was held all the time');
    writeFileSync(release, '');
    child.stdin.end();
    assert.equal(await ended, 0);
    return Object.assign({ before: -1, after: -1, events: [] }, ...lines);
  } finally {
    child.kill('SIGKILL');
  }
}

async function filtersWhileHeld(placement: Placement, way: keyof typeof WAYS): Promise<void> {
  const files = { 'tapwall.yaml': `placement: ${placement}\n${ONE_POLICY}`, 'guard.nft': GUARD };
  await withLab((lab) =>
    withFiles(files, async (folder) => {
      const isAttached = (index: number) =>
        statusIn(kernel, lab.host.namespace).devices.some(
          (device) => device.index === index && device.state === 'attached',
        );
      const made: number[] = [];
      const { before, after, events } = await whileHeld(lab, folder, way, async () => {
        const world = lab.world();
        for (let number = 0; number < DEVICES; number++) {
          await sleep(PAUSE_MS);
          const guest = lab.addGuest({ name: `macvtap${number}`, mac: `52:54:00:00:00:${10 + number}` });
          made.push(guest.index);
          await until(`macvtap${number} is attached`, () => isAttached(guest.index));
          if (number % 5 > 0) continue;
          const shots = [packet(guest, world, LAN), packet(guest, world)];
          assert.deepEqual(await fates(shots), [false, true]);
        }
      });
      assert.equal(after, before, 'its main thread has handled no event meanwhile');
      const attached = events.slice(before).filter(({ event }) => event === 'attached');
      assert.deepEqual(
        attached.map((event) => 'index' in event && event.index),
        made,
        'each is told of afterwards, once and in order',
      );
    }),
  );
}

describe('a service whose main thread is held for seconds', () => {
  for (const placement of PLACEMENTS) {
    it(`has its devices filtered meanwhile, placement ${placement}`, () =>
      filtersWhileHeld(placement, 'blocked in a system call'));
  }

  it('has its devices filtered meanwhile when it is busy with JavaScript', () =>
    filtersWhileHeld('names', 'busy with JavaScript'));
});
