/** What a dense host asks for: thousands of devices, and a ruleset that a person can still list and load. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Placement } from '#src/config/configuration.js';
import type { Lab } from '#src/demo/lab.js';
import { type RunningAgent, withAgent } from '../support/agent.js';
import { withLab } from '../support/host.js';
import {
  configurationFor,
  createVms,
  deviceElements,
  generationOf,
  OWN_FILE,
  planVms,
  runNft,
  type Vm,
} from './thousands.js';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

const DEVICES = 4_000;
const VMS = planVms(DEVICES, { own: 250, bound: 1_000 });
const PLACEMENTS: readonly Placement[] = ['names', 'device'];

/** Many times what it takes, since other work may go on. */
const LISTING_LIMIT_MS = 30_000;
const LOADING_LIMIT_MS = 60_000;

function withoutCounts(text: string): string {
  // A line that is left out leaves an empty one.
  return text.replace(/packets \d+ bytes \d+/g, 'packets N bytes N').replace(/\n\n+/g, '\n');
}

function readText(folder: string, name: string): string {
  return readFileSync(join(folder, name), 'utf8');
}

async function withVms<T>(action: (lab: Lab) => Promise<T>): Promise<T> {
  return await withLab(async (lab) => {
    const removeVms = createVms(lab, VMS);
    try {
      return await action(lab);
    } finally {
      removeVms();
    }
  });
}

function checkAttached({ log }: RunningAgent): void {
  const attached = new Map(log.of('attached').map(({ index, policy }) => [index, policy]));
  const wrong = VMS.filter(({ index, policy }) => attached.get(index) !== policy);
  assert.deepEqual(wrong.slice(0, 3), [], `${wrong.length} devices without their policy`);
  assert.deepEqual(log.of('failed').slice(0, 3), []);
}

/** What `nft list ruleset` prints loads in a namespace with the same devices, and is printed there once more. */
async function checkListing(lab: Lab, folder: string): Promise<void> {
  const { namespace } = lab.host;
  const listed = runNft(namespace, folder, 'nft list ruleset > first.nft', LISTING_LIMIT_MS);
  assert.deepEqual([listed.status, listed.stderr], [0, '']);
  const first = readText(folder, 'first.nft');
  for (const { name } of VMS) assert.ok(first.includes(`"${name}"`), `${name} is not in the listing`);
  await withVms(async (other) => {
    // What nft owns goes with it.
    const unowned = "sed -i -e 's/ # progname .*//' -e '/^\tflags owner$/d' first.nft";
    const script = `${unowned} && nft -f first.nft && nft list ruleset > second.nft`;
    const loaded = runNft(other.host.namespace, folder, script, LOADING_LIMIT_MS);
    assert.deepEqual([loaded.status, loaded.stderr], [0, '']);
    const loadable = readText(folder, 'first.nft');
    assert.ok(withoutCounts(readText(folder, 'second.nft')) === withoutCounts(loadable), 'they differ');
  });
}

/** `tapwall list` says of each device what the configuration does. */
function checkList(lab: Lab, placement: Placement): void {
  const command = [MAIN, 'list', '--json', '--namespace', lab.namespacePath];
  const { status, stdout } = spawnSync(process.execPath, command, {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    timeout: LISTING_LIMIT_MS,
  });
  assert.equal(status, 0);
  const [door, ...devices] = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(door?.['placement'], placement);
  const expected = VMS.map(({ name, index, mac, policy }: Vm) => [name, index, mac, policy, 'attached']);
  const found = devices.map(({ device, index, mac, policy, state }) => [device, index, mac, policy, state]);
  assert.deepEqual(found, expected);
}

for (const placement of PLACEMENTS) {
  describe(`${DEVICES} devices, placement ${placement}`, () => {
    it('are attached, listed by nft, loaded again, taken over, and left alone by a reload', async (t) => {
      const files = { 'tapwall.yaml': configurationFor(VMS), 'own.nft': OWN_FILE };
      const lap = stopwatch((text) => t.diagnostic(text));
      await withVms(async (lab) => {
        const { namespace } = lab.host;
        lap('devices made');
        await withAgent(
          lab,
          files,
          async (running) => {
            lap('agent started');
            checkAttached(running);
            await checkListing(lab, running.folder);
            lap('listed and loaded');
            checkList(lab, placement);
            lap('tapwall list');
          },
          { placement },
        );
        const generation = generationOf(namespace);
        await withAgent(
          lab,
          files,
          async (running) => {
            lap('agent started again');
            const [ready] = running.log.of('ready');
            t.diagnostic(`of that, until the devices were in line: ${(ready?.microseconds ?? 0) / 1_000} ms`);
            checkAttached(running);
            assert.ok(running.log.of('attached').every(({ kept }) => kept));
            // Nothing but that the tables are taken over, in one transaction.
            assert.equal(generationOf(namespace), generation + 1);
            const before = deviceElements(namespace);
            assert.ok(before.length > DEVICES);
            await running.reload(configurationFor(VMS, { gateway: '192.168.2.254' }));
            lap('reloaded');
            assert.notEqual(generationOf(namespace), generation);
            assert.deepEqual(deviceElements(namespace), before);
            assert.equal(running.log.of('attached').length, DEVICES);
          },
          { placement },
        );
      });
      lap('taken away');
    });
  });
}

/** Says how long each part took. */
function stopwatch(say: (text: string) => void): (part: string) => void {
  let last = process.hrtime.bigint();
  return (part) => {
    const now = process.hrtime.bigint();
    say(`${part}: ${(Number(now - last) / 1e9).toFixed(2)} s`);
    last = now;
  };
}
