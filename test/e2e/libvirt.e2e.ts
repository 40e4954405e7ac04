/**
 * tapwall on a host with a real libvirtd and real guests: `npm run e2e:libvirt`. The tests build on each other, as
 * starting a guest takes seconds; each leaves the host as it says.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { DeviceStatus } from '#src/agent/status.js';
import { until } from '../support/station.js';
import { type GuestSketch, guestXml, pings } from './guest.js';
import { LibvirtHost } from './libvirt-host.js';

const GATEWAY = '10.78.0.1';
const LAN = '10.78.0.50';
const DB_UUID = '6f1f9d3a-6a0b-4d7a-8a2f-5f1d0c7e2b01';

const CONFIGURATION = `
domain-policies: [open]
policies:
  lan-guard:
    guards: [mac, ethertype, fragment, ip, arp]
    egress: |
      ip daddr ${GATEWAY} accept
      ip daddr 10.78.0.0/24 drop
    ingress: |
      ip saddr ${GATEWAY} accept
      ip saddr 10.78.0.0/24 drop
    default: accept
  open:
    guards: [mac, ethertype]
    default: accept
bindings:
  - { guest: "web-*", policy: lan-guard, addresses: [10.78.0.2] }
  - { uuid: ${DB_UUID}, policy: open }
  - { mac: "52:54:00:00:09:01", policy: open }
`;

const image = process.env['TAPWALL_GUEST_IMAGE'] ?? '';

describe('libvirt', { timeout: 280_000 }, () => {
  let host: LibvirtHost;

  before(async () => {
    host = await LibvirtHost.open();
    host.configure(CONFIGURATION);
  });

  after(() => host.close());

  function define(sketch: Omit<GuestSketch, 'image' | 'serialLog'>): void {
    const file = join(host.folder, `${sketch.name}.xml`);
    writeFileSync(file, guestXml({ ...sketch, image, serialLog: host.serialLog(sketch.name) }));
    const { status, stderr } = host.virsh('define', file);
    assert.equal(status, 0, stderr);
  }

  function start(name: string): void {
    const { status, stderr } = host.virsh('start', name);
    assert.equal(status, 0, stderr);
  }

  function plug(...command: string[]): void {
    const { status, stderr } = host.virsh(...command, '--live');
    assert.equal(status, 0, stderr);
  }

  /** @returns what virsh said. */
  function refused(name: string): string {
    const { status, stderr } = host.virsh('start', name);
    assert.notEqual(status, 0, `${name} was started`);
    assert.equal(host.virsh('domstate', name).stdout.trim(), 'shut off');
    return stderr;
  }

  function devices(): DeviceStatus[] {
    const { stdout } = host.tapwall('list', '--json');
    return (
      stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as DeviceStatus)
        // The last line is about the placement.
        .filter(({ mac }) => mac !== undefined)
    );
  }

  function policies(): string[] {
    return devices()
      .map(({ mac, policy }) => `${mac} ${policy}`)
      .sort();
  }

  /** Nothing that is any device's, in tables, sets and counters. */
  function isEmpty(): boolean {
    const { stdout } = host.run('nft', 'list', 'ruleset');
    return (
      stdout.includes('table netdev tapwall') &&
      !stdout.includes('elements = { "macvtap') &&
      !stdout.includes('tapwall.')
    );
  }

  it('gets a hook beside those that are there, and must be restarted if it had none', async () => {
    const first = host.tapwall('libvirt', 'install', '--config', host.config);
    assert.equal(first.status, 0, first.stderr);
    assert.match(first.stdout, /installed \/etc\/libvirt\/hooks\/qemu\.d\/50-tapwall\n.*restart it/);
    host.succeed('sh', '-c', 'echo "#!/bin/sh" > /etc/libvirt/hooks/qemu; chmod +x /etc/libvirt/hooks/qemu');
    assert.doesNotMatch(host.tapwall('libvirt', 'install', '--config', host.config).stdout, /restart/);
    await host.startLibvirtd();
    const { status, stdout } = host.tapwall('libvirt', 'status');
    assert.equal(status, 0);
    assert.match(stdout, /another hook: \/etc\/libvirt\/hooks\/qemu$/m);
  });

  it('starts no guest whose policy cannot be compiled, and virsh says why', () => {
    define({ name: 'web-1', mac: '52:54:00:00:00:01', address: '10.78.0.2/24', script: pings(GATEWAY, LAN) });
    host.configure(CONFIGURATION.replace('10.78.0.0/24 drop', '10.78.0.0/24 dorp'));
    const words = refused('web-1');
    assert.match(words, /tapwall\.yaml:\d+:\d+: .*dorp|syntax error/s);
    host.configure(CONFIGURATION);
    assert.deepEqual(devices(), []);
  });

  it('starts a guest behind its policy while no agent runs, and the agent takes it over', async () => {
    start('web-1');
    await host.heard('web-1', 'GUEST-DONE');
    assert.match(host.said('web-1'), new RegExp(`PING ${GATEWAY} yes\\s+PING ${LAN} no`));
    assert.deepEqual(policies(), ['52:54:00:00:00:01 lan-guard']);
    const [before] = devices();
    await host.startAgent();
    const kept = host.events.find(({ event }) => event === 'attached');
    assert.ok(kept?.event === 'attached' && kept.kept, JSON.stringify(host.events));
    assert.equal(kept.policy, 'lan-guard');
    assert.deepEqual(devices()[0]?.index, before?.index);
  });

  it('starts a second guest with another policy', async () => {
    define({
      name: 'store',
      uuid: DB_UUID,
      mac: '52:54:00:00:00:02',
      address: '10.78.0.3/24',
      script: pings(GATEWAY, LAN),
    });
    start('store');
    await host.heard('store', 'GUEST-DONE');
    assert.match(host.said('store'), new RegExp(`PING ${GATEWAY} yes\\s+PING ${LAN} yes`));
    assert.deepEqual(policies(), ['52:54:00:00:00:01 lan-guard', '52:54:00:00:00:02 open']);
  });

  it('starts no guest that nothing admits, nor one that asks for what it may not have', () => {
    define({ name: 'stray', mac: '52:54:00:00:00:03', address: '10.78.0.4/24' });
    assert.match(refused('stray'), /macvtap\d+: no binding matches the device/);
    const asks = (policy: string) =>
      `<t:guest xmlns:t='urn:tapwall:libvirt:1'><t:policy>${policy}</t:policy></t:guest>`;
    define({ name: 'stray', mac: '52:54:00:00:00:03', address: '10.78.0.4/24', metadata: asks('lan-guard') });
    assert.match(refused('stray'), /policy lan-guard, which is not in domain-policies/);
    define({ name: 'stray', mac: '52:54:00:00:00:03', address: '10.78.0.4/24', metadata: asks('open') });
    start('stray');
    assert.ok(policies().includes('52:54:00:00:00:03 open'));
    assert.equal(host.virsh('destroy', 'stray').status, 0);
  });

  it('filters an interface that is plugged in, and leaves nothing when it is pulled', async () => {
    const store = ['store', 'direct', '--mac', '52:54:00:00:09:01'];
    plug('attach-interface', ...store, '--source', 'vx0', '--model', 'virtio');
    await until('its policy', () => policies().includes('52:54:00:00:09:01 open'));
    plug('detach-interface', ...store);
    await until('its end', () => devices().length === 2, 30_000);
    assert.deepEqual(policies(), ['52:54:00:00:00:01 lan-guard', '52:54:00:00:00:02 open']);
  });

  it('knows whose an interface is that is plugged in, and it is closed until then', async () => {
    const mac = '52:54:00:00:09:02';
    plug('attach-interface', 'web-1', 'direct', '--mac', mac, '--source', 'vx0');
    await until('its policy', () => policies().includes(`${mac} lan-guard`));
    const plugged = devices().find((one) => one.mac === mac);
    assert.equal(plugged?.guest, 'web-1');
    const told = () => host.events.filter((event) => 'index' in event && event.index === plugged?.index);
    await until('both events', () => told().length > 1);
    const [first, second, ...more] = told();
    assert.ok(first?.event === 'unmatched' && first.closed, JSON.stringify(first));
    assert.ok(second?.event === 'attached' && second.policy === 'lan-guard', JSON.stringify(second));
    assert.deepEqual(more, []);
    plug('detach-interface', 'web-1', 'direct', '--mac', mac);
    await until('its end', () => devices().length === 2, 30_000);
  });

  it('knows the same of an interface of a network, plugged in while no agent runs', async () => {
    const network = join(host.folder, 'network.xml');
    writeFileSync(
      network,
      "<network><name>uplink</name><forward mode='bridge'><interface dev='vx0'/></forward></network>",
    );
    for (const args of [
      ['net-define', network],
      ['net-start', 'uplink'],
    ]) {
      const { status, stderr } = host.virsh(...args);
      assert.equal(status, 0, stderr);
    }
    const mac = '52:54:00:00:09:03';
    await host.stopAgent();
    plug('attach-interface', 'web-1', 'network', '--source', 'uplink', '--mac', mac);
    await host.startAgent();
    await until('its policy', () => policies().includes(`${mac} lan-guard`));
    // In the XML of a guest that runs it is what it came to.
    plug('detach-interface', 'web-1', 'direct', '--mac', mac);
    await until('its end', () => devices().length === 2, 30_000);
  });

  it('goes on when libvirtd is killed and started again', async () => {
    const before = devices().map(({ device, index }) => `${device} ${index}`);
    await host.killLibvirtd();
    await host.startLibvirtd();
    await until('the guests', () => host.virsh('domstate', 'web-1').stdout.trim() === 'running');
    assert.equal(host.virsh('domstate', 'store').stdout.trim(), 'running');
    assert.deepEqual(
      devices().map(({ device, index }) => `${device} ${index}`),
      before,
    );
    assert.deepEqual(policies(), ['52:54:00:00:00:01 lan-guard', '52:54:00:00:00:02 open']);
  });

  it('knows the guests again when the agent was killed', async () => {
    await host.stopAgent('SIGKILL');
    await host.startAgent();
    assert.deepEqual(policies(), ['52:54:00:00:00:01 lan-guard', '52:54:00:00:00:02 open']);
  });

  it('leaves nothing of a guest that was destroyed, whether an agent runs or not', async () => {
    assert.equal(host.virsh('destroy', 'store').status, 0);
    await until('its end', () => devices().length === 1);
    await host.stopAgent();
    assert.equal(host.virsh('destroy', 'web-1').status, 0);
    await until('nothing', isEmpty);
    await host.startAgent();
    assert.deepEqual(devices(), []);
  });

  it('lets none of a guest’s tagged and spoofed frames out', async () => {
    const mac = '52:54:00:00:00:01';
    // It has to fit into the kernel's command line.
    const script = `insmod /mod/pktgen.ko
p=/proc/net/pktgen
send() {
  echo rem_device_all >$p/kpktgend_0
  echo add_device eth0 >$p/kpktgend_0
  for c in "count 2000" "pkt_size 60" "dst ${GATEWAY}" "dst_mac ff:ff:ff:ff:ff:ff" "$@"; do echo "$c" >$p/eth0; done
  echo start >$p/pgctrl
}
a="src_min 10.78.0.2" b="src_max 10.78.0.2"
send "$a" "$b" "vlan_id 7"
send "src_min 10.78.0.99" "src_max 10.78.0.99"
send "$a" "$b" "src_mac 52:54:00:00:00:66"
# The last of all, and the only ones that may leave.
send "$a" "$b"
grep -h sofar $p/eth0
`;
    define({ name: 'web-1', mac, address: '10.78.0.2/24', script });
    writeFileSync(host.serialLog('web-1'), '');
    const wire = await host.listen();
    try {
      start('web-1');
      await host.heard('web-1', 'GUEST-DONE');
      assert.match(host.said('web-1'), /pkts-sofar: 2000/);
      await wire.saw({ mac, type: '0800', source: '10.78.0.2' });
      const others = wire.kinds.filter(
        ({ mac: from, type, source }) =>
          from !== mac || type === 'tagged' || type === '8100' || (type === '0800' && source !== '10.78.0.2'),
      );
      assert.deepEqual(others, []);
    } finally {
      wire.close();
    }
    const { stdout } = host.tapwall('counters', '--json');
    for (const reason of ['ethertype', 'ip4', 'mac']) {
      const [, packets] = new RegExp(`"${reason}":\\{[^}]*"packets":"?(\\d+)`).exec(stdout) ?? [];
      assert.ok(Number(packets) >= 2000, `${reason}: ${stdout}`);
    }
  });

  it('holds a start up for no longer than it takes to ask', (t: TestContext) => {
    const xml = join(host.folder, 'live.xml');
    writeFileSync(xml, host.virsh('dumpxml', 'web-1').stdout);
    const hook = '/etc/libvirt/hooks/qemu.d/50-tapwall web-1 start begin -';
    const times: number[] = [];
    for (let round = 0; round < 20; round++) {
      const said = host.succeed(
        'bash',
        '-c',
        `s=$EPOCHREALTIME; ${hook} < ${xml}; echo "$? $s $EPOCHREALTIME"`,
      );
      const [status, from, to] = said.trim().split(' ');
      assert.equal(status, '0', said);
      times.push((Number(to) - Number(from)) * 1000);
    }
    times.sort((a, b) => a - b);
    const at = (share: number) => (times[Math.floor(share * (times.length - 1))] ?? 0).toFixed(1);
    t.diagnostic(`the hook takes ${at(0.5)} ms (p50), ${at(1)} ms (most of ${times.length})`);
  });

  it('is without a hook again when it is uninstalled', () => {
    assert.equal(host.tapwall('libvirt', 'uninstall').status, 0);
    assert.equal(host.tapwall('libvirt', 'status').status, 1);
    assert.equal(host.run('test', '-x', '/etc/libvirt/hooks/qemu').status, 0);
  });
});
