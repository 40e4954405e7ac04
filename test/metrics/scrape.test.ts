/** Scrapes of an agent that runs as a command, of real devices and real frames. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { statusIn } from '#src/agent/status.js';
import type { Lab } from '#src/demo/lab.js';
import { METRICS } from '#src/metrics/catalogue.js';
import { withFiles } from '../support/agent.js';
import { kernel, runIn, withLab } from '../support/host.js';
import { MAIN, Running } from '../support/run.js';
import { fates, packet } from '../support/station.js';
import { get, nameOf, promtool, scrape } from './support.js';

const YAML = `policies:
  web: { egress: ip daddr 192.168.0.0/16 drop, default: accept, guards: [mac, ethertype] }
  shut: { default: drop }
bindings:
  - { device: "macvtap[01]", policy: web }
  - { device: macvtap2, policy: shut }
control: off
reconcile: never
`;
const WITH_FILE = `policies: { own: { file: own.nft } }
bindings: [{ device: macvtap4, policy: own }]
control: off
`;
const OWN = `table netdev own {
  chain out { type filter hook egress device $intf priority -5; policy accept; ip daddr 192.168.0.0/16 drop; }
}
`;
const mac = (number: number) => `52:54:00:00:00:0${number}`;

interface Scene {
  lab: Lab;
  running: Running;
  socket: string;
  folder: string;
}

async function withMetrics(
  fields: string,
  action: (scene: Scene) => Promise<void>,
  more = '',
  yaml = YAML,
): Promise<void> {
  await withFiles({ 'own.nft': OWN }, (folder) =>
    withLab(async (lab) => {
      const socket = join(folder, 'metrics.sock');
      writeFileSync(join(folder, 'tapwall.yaml'), `${yaml}metrics: { listen: ${socket}${fields} }\n${more}`);
      const running = new Running(lab, folder);
      try {
        await running.saw('ready');
        for (let status = 0; status !== 200; ) ({ status } = await get(socket, '/healthz'));
        await action({ lab, running, socket, folder });
      } finally {
        running.child.kill('SIGTERM');
        await running.exited;
      }
    }),
  );
}

/** What was dropped and admitted, of one device by its counters as `tapwall counters` reads them. */
function countersOf(lab: Lab, name: string): Record<string, number> {
  const device = statusIn(kernel, lab.host.namespace).devices.find((one) => one.device === name);
  assert.ok(device, name);
  const counts: Record<string, number> = {};
  for (const direction of ['ingress', 'egress'] as const) {
    const { admitted, dropped } = device[direction];
    counts[`${direction} admitted packets`] = admitted.packets;
    counts[`${direction} admitted bytes`] = admitted.bytes;
    for (const [reason, { packets, bytes }] of Object.entries(dropped)) {
      counts[`${direction} ${reason} packets`] = packets;
      counts[`${direction} ${reason} bytes`] = bytes;
    }
  }
  return counts;
}

/** A scrape that has so many drops of VMs' frames: what was read before serves for a second. */
async function counted(socket: string, drops: number): Promise<Map<string, number>> {
  for (;;) {
    const now = await scrape(socket);
    const counts = [...now].map(([one, value]) =>
      /^tapwall_dropped_packets_total.*egress.*"(?:policy|ethertype)"/.test(one) ? value : 0,
    );
    if (counts.reduce((sum, one) => sum + one, 0) >= drops) return now;
    await sleep(100);
  }
}

describe('a scrape', () => {
  it('says of real devices and frames what tapwall counters says, and promtool has nothing to say', async () => {
    await withMetrics('', async ({ lab, running, socket, folder }) => {
      const guest = lab.addGuest({ name: 'macvtap0', mac: mac(0) });
      lab.addMacvtap({ name: 'macvtap1', mac: mac(1), up: false });
      lab.addMacvtap({ name: 'macvtap2', mac: mac(2), up: false });
      lab.addMacvtap({ name: 'macvtap3', mac: mac(3), up: false });
      await running.saw('attached', 3);
      await running.saw('unmatched');
      const world = lab.world();
      const arrived = await fates([
        packet(guest, world),
        packet(guest, world, { destination: '192.168.0.9' }),
        packet(guest, world, { destination: '192.168.0.9' }),
        packet(guest, world, { tags: [7] }),
        packet(world, guest),
      ]);
      assert.deepEqual(arrived, [true, false, false, false, true]);

      await counted(socket, 3);
      const { body } = await get(socket);
      assert.equal(promtool(['check', 'metrics'], body), '', 'check metrics');
      const now = await scrape(socket);
      // No series of a metric that is not in the catalogue, and none in it that is not served.
      const bases = [...now.keys()].map((one) => nameOf(one).replace(/_(bucket|sum|count)$/, ''));
      assert.deepEqual([...new Set(bases)].sort(), Object.keys(METRICS).sort());

      const counts = countersOf(lab, 'macvtap0');
      assert.ok(
        (counts['egress policy packets'] ?? 0) >= 2 && (counts['egress ethertype packets'] ?? 0) >= 1,
      );
      for (const [what, value] of Object.entries(counts)) {
        const [direction, reason, unit] = what.split(' ');
        const metric = reason === 'admitted' ? 'admitted' : 'dropped';
        const labels = `namespace="self",device="macvtap0",direction="${direction}"${reason === 'admitted' ? '' : `,reason="${reason}"`}`;
        // Frames that nobody sent on purpose may have come in between.
        const served = now.get(`tapwall_device_${metric}_${unit}_total{${labels}}`) ?? 0;
        assert.ok(served <= value && served > 0 === value > 0, `${what}: ${served} of ${value}`);
      }
      assert.equal(
        now.get(
          'tapwall_device_dropped_packets_total{namespace="self",device="macvtap0",direction="egress",reason="policy"}',
        ),
        2,
      );
      assert.equal(now.get('tapwall_dropped_packets_total{direction="egress",reason="policy"}'), 2);
      assert.equal(now.get('tapwall_dropped_packets_total{direction="egress",reason="ethertype"}'), 1);

      const { placement } = statusIn(kernel, lab.host.namespace);
      const devices = (state: string, policy: string) =>
        now.get(`tapwall_devices{state="${state}",policy="${policy}",placement="${placement}"}`);
      assert.deepEqual(
        [devices('attached', 'web'), devices('attached', 'shut'), devices('unmatched', '')],
        [2, 1, 1],
      );
      // The histogram has every attach that was told, in seconds.
      const told = running.events.flatMap((event) =>
        event.event === 'attached' && !event.kept ? event.microseconds : [],
      );
      assert.equal(now.get('tapwall_attach_duration_seconds_count'), told.length);
      assert.equal(now.get('tapwall_attach_duration_seconds_bucket{le="+Inf"}'), told.length);
      const sum = told.reduce((all, one) => all + one, 0) / 1e6;
      assert.ok(Math.abs((now.get('tapwall_attach_duration_seconds_sum') ?? 0) - sum) < 1e-9);
      assert.ok((now.get('tapwall_transactions_total') ?? 0) > 0);
      assert.equal(now.get('tapwall_up'), 1);

      // A device that goes takes its series along, and the sums stay.
      lab.remove(guest.index);
      await running.saw('detached');
      writeFileSync(join(folder, 'tapwall.yaml'), 'nonsense\n');
      running.child.kill('SIGHUP');
      await running.saw('reload-failed');
      // What was read before serves for a second.
      let later = await scrape(socket);
      // The other two have counted nothing, and have the series of what was admitted all the same, once the agent had time.
      for (; later.get('tapwall_metered_devices{series="own"}') !== 2; later = await scrape(socket));
      assert.equal(later.get('tapwall_dropped_packets_total{direction="egress",reason="policy"}'), 2);
      assert.deepEqual(
        [...later.keys()].filter((one) => one.includes('device="macvtap0"')),
        [],
      );
      assert.equal(later.get('tapwall_last_reload_success'), 0);
      assert.equal(later.get('tapwall_reloads_total{result="failure"}'), 1);
    });
  });

  it('tells what a file’s own chains have dropped, and of what they have let through that it was admitted', async () => {
    const action = async ({ lab, running, socket }: Scene) => {
      const guest = lab.addGuest({ name: 'macvtap4', mac: mac(4) });
      await running.saw('attached');
      const world = lab.world();
      const shots = () => [
        packet(guest, world),
        packet(guest, world, { destination: '192.168.0.9' }),
        packet(guest, world, { destination: '192.168.0.9' }),
      ];
      assert.deepEqual(await fates([...shots(), ...shots()]), [true, false, false, true, false, false]);
      const labels = 'namespace="self",device="macvtap4",direction="egress"';
      const dropped = `tapwall_device_dropped_packets_total{${labels},reason="file"}`;
      let now = await scrape(socket);
      for (; now.get(dropped) !== 4; now = await scrape(socket)) await sleep(100);
      assert.equal(now.get('tapwall_dropped_packets_total{direction="egress",reason="file"}'), 4);
      const counts = countersOf(lab, 'macvtap4');
      assert.equal(counts['egress file packets'], 4);
      assert.equal(
        now.get(`tapwall_device_dropped_bytes_total{${labels},reason="file"}`),
        counts['egress file bytes'],
      );
      const admitted = now.get(`tapwall_device_admitted_packets_total{${labels}}`) ?? 0;
      assert.ok(admitted >= 2 && admitted <= (counts['egress admitted packets'] ?? 0), `${admitted}`);
      // The file has no chain for what goes to the VM: all that the door lets through has passed.
      assert.equal(
        now.get(`tapwall_device_dropped_packets_total{${labels.replace('egress', 'ingress')},reason="file"}`),
        undefined,
      );
    };
    await withMetrics('', action, '', WITH_FILE);
  });

  it('gives so many devices series of their own, and sums up the others', async () => {
    await withMetrics(', devices: 1', async ({ lab, running, socket }) => {
      const guests = [0, 1].map((number) => lab.addGuest({ name: `macvtap${number}`, mac: mac(number) }));
      await running.saw('attached', 2);
      const world = lab.world();
      const shots = guests.flatMap((guest) =>
        [1, 2, 3].map(() => packet(guest, world, { destination: '192.168.0.9' })),
      );
      assert.deepEqual(
        await fates(shots),
        shots.map(() => false),
      );
      const now = await counted(socket, 6);
      const series = [...now].filter(([one]) => /_packets_.*egress.*policy/.test(one));
      const names = series
        .map(([one]) => /,device="([^"]+)"/.exec(one)?.[1])
        .filter((one) => one !== undefined);
      assert.equal(names.length, 2, names.join());
      assert.ok(names.includes('all others') && names.some((one) => /^macvtap[01]$/.test(one)), names.join());
      assert.deepEqual(
        series.map(([, value]) => value).sort((a, b) => a - b),
        [3, 3, 6],
      );
      assert.equal(now.get('tapwall_metered_devices{series="summed"}'), 1);
    });
  });

  it('asks nothing of the kernel that the agent’s thread would have to wait for', async () => {
    await withMetrics('', async ({ lab, running, socket }) => {
      lab.addMacvtap({ name: 'macvtap0', mac: mac(0), up: false });
      await running.saw('attached');
      const own = [
        'tapwall_transactions_total',
        'tapwall_reconciliations_total',
        'tapwall_attaches_total{result="new"}',
      ];
      const before = await scrape(socket);
      await Promise.all(Array.from({ length: 50 }, () => get(socket)));
      const after = await scrape(socket);
      for (const name of own) assert.equal(after.get(name), before.get(name), name);
    });
  });

  it('tells devices of one name in two network namespaces apart', async () => {
    await withLab(async (other) => {
      const more = `namespaces: [self, ${other.namespacePath}]\n`;
      const action = async ({ lab, running, socket }: Scene) => {
        const shots = [lab, other].map((host, number) => {
          const guest = host.addGuest({ name: 'macvtap0', mac: mac(number) });
          return { guest, world: host.world(), frames: number + 1 };
        });
        await running.saw('attached', 2);
        for (const { guest, world, frames } of shots) {
          const sent = Array.from({ length: frames }, () =>
            packet(guest, world, { destination: '192.168.0.9' }),
          );
          assert.deepEqual(
            await fates(sent),
            sent.map(() => false),
          );
        }
        const now = await counted(socket, 3);
        const dropped = (namespace: string) =>
          now.get(
            `tapwall_device_dropped_packets_total{namespace="${namespace}",device="macvtap0",direction="egress",reason="policy"}`,
          );
        assert.deepEqual([dropped('self'), dropped(other.namespacePath)], [1, 2]);
        assert.equal(now.get('tapwall_dropped_packets_total{direction="egress",reason="policy"}'), 3);
        assert.equal(now.get('tapwall_namespaces{state="served"}'), 2);
      };
      await withMetrics('', action, more);
    });
  });

  it('is served on a loopback address to whoever is in the same network namespace', async () => {
    await withFiles({}, (folder) =>
      withLab(async (lab) => {
        const yaml = join(folder, 'tapwall.yaml');
        writeFileSync(yaml, `${YAML}metrics: { listen: "127.0.0.1:9842" }\n`);
        // The agent's own network namespace, where it listens, is another than that of its devices.
        const elsewhere = kernel.createNamespace();
        runIn(elsewhere, ['ip', 'link', 'set', 'lo', 'up']);
        const script = `
          set -e
          "$1" "$2" run --config "$3" --namespace "$4" --json & agent=$!
          trap 'kill $agent; wait $agent' EXIT
          "$1" -e '
            (async function ask(left) {
              const answer = await fetch("http://127.0.0.1:9842/healthz").catch(() => undefined);
              if (answer?.ok) console.error(await (await fetch("http://127.0.0.1:9842/metrics")).text());
              else if (left > 0) setTimeout(ask, 50, left - 1);
              else process.exitCode = 1;
            })(1000);'`;
        const args = ['sh', '-c', script, 'sh', process.execPath, MAIN, yaml, lab.namespacePath];
        const { status, stderr, stdout } = spawnSync('nsenter', [`--net=${elsewhere.path}`, ...args], {
          encoding: 'utf8',
          timeout: 120_000,
        });
        elsewhere.close();
        assert.equal(status, 0, `${stdout}${stderr}`);
        assert.match(stderr, /^tapwall_up 1$/m);
      }),
    );
  });

  it('that cannot be served ends the start, and changes nothing', async () => {
    await withFiles({}, (folder) =>
      withLab(async (lab) => {
        const yaml = join(folder, 'tapwall.yaml');
        const path = join(folder, 'file');
        writeFileSync(path, '');
        writeFileSync(yaml, `${YAML}metrics: { listen: ${path} }\n`);
        const run = (...more: string[]) =>
          spawnSync(
            process.execPath,
            [MAIN, 'run', '--config', yaml, '--namespace', lab.namespacePath, ...more],
            {
              encoding: 'utf8',
              timeout: 60_000,
            },
          );
        const { status, stdout } = run('--json');
        assert.equal(status, 3, stdout);
        assert.deepEqual(
          { ...JSON.parse(stdout), hint: undefined },
          {
            event: 'error',
            code: 'METRICS_ADDRESS',
            message: `${path} is there already, and is no socket`,
            hint: undefined,
          },
        );
        writeFileSync(yaml, `${YAML}metrics: { listen: "0.0.0.0:9842" }\n`);
        const refused = run();
        assert.equal(refused.status, 3);
        assert.match(refused.stderr, /tapwall\.yaml:9:20: `0\.0\.0\.0` can be reached from elsewhere/);
        assert.equal(statusIn(kernel, lab.host.namespace).placement, undefined);
      }),
    );
  });
});
