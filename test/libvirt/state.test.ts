/** Whose devices are by what libvirt keeps of guests that run: a real agent, real devices, and files as libvirt writes them. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Agent } from '#src/agent/agent.js';
import type { Lab } from '#src/demo/lab.js';
import { parseState } from '#src/libvirt/domain.js';
import { LibvirtState } from '#src/libvirt/state.js';
import { withAgent } from '../support/agent.js';
import { withLab } from '../support/host.js';
import { type EventLog, packet, passes, until } from '../support/station.js';
import { type DomainSketch, directInterface, domainXml, metadata, UUID } from './support.js';

const MAC = '52:54:00:00:00:01';
const FILES = {
  'tapwall.yaml': `policies: { web: { default: accept }, other: { default: accept }, store: { default: accept } }
domain-policies: [other]
bindings:
  - { guest: "web-*", policy: web }
  - { guest: "store-*", policy: store }
`,
};

/** As libvirt 9 keeps it, shortened. */
function stateXml(sketch: DomainSketch = {}): string {
  return `<!--
WARNING: THIS IS AN AUTO-GENERATED FILE.
-->
<domstatus state='running' reason='booted' pid='4711'>
  <taint flag='custom-argv'/>
  <monitor path='/var/lib/libvirt/qemu/domain-1-web-1/monitor.sock' type='unix'/>
  <jobs active='no'/>
  ${domainXml(sketch)}</domstatus>
`;
}

interface Stage {
  lab: Lab;
  agent: Agent;
  log: EventLog;
  folder: string;
  notices: string[];
  /** Whole or not at all, as libvirt does it. */
  write(name: string, sketch?: DomainSketch): void;
  begin(): LibvirtState;
}

async function withStage(action: (stage: Stage) => Promise<void>): Promise<void> {
  await withLab((lab) =>
    withAgent(lab, FILES, async ({ agent, log, folder: files }) => {
      const folder = join(files, 'libvirt', 'qemu');
      mkdirSync(folder, { recursive: true });
      const notices: string[] = [];
      let state: LibvirtState | undefined;
      const write = (name: string, sketch?: DomainSketch) => {
        writeFileSync(join(folder, `${name}.xml.new`), stateXml({ name, ...sketch }), { mode: 0o600 });
        renameSync(join(folder, `${name}.xml.new`), join(folder, `${name}.xml`));
      };
      const begin = () => {
        state = new LibvirtState(folder, agent, (message) => notices.push(message));
        return state;
      };
      try {
        await action({ lab, agent, log, folder, notices, write, begin });
      } finally {
        state?.close();
      }
    }),
  );
}

const plugged = { devices: directInterface({ mac: MAC }) };

describe('the state that libvirt keeps of a guest', () => {
  it('holds the domain’s XML as it is now', () => {
    const { name, uuid, interfaces } = parseState(stateXml({ devices: directInterface() }));
    assert.deepEqual([name, uuid, interfaces.map(({ device }) => device)], ['web-1', UUID, ['macvtap0']]);
  });

  it('has what an interface of a network came to beside its definition', () => {
    const devices = `<interface type='network'>
      <mac address='${MAC}'/>
      <source network='uplink' portid='3fcb9aa4-0a6f-4a8e-8fd3-7d0cd4a1ddb8'/>
      <actual type='direct'><source dev='vx0' mode='bridge'/></actual>
      <target dev='macvtap3'/>
    </interface>
    <interface type='network'><mac address='52:54:00:00:00:09'/><actual type='bridge'/><target dev='vnet0'/></interface>`;
    const { interfaces } = parseState(stateXml({ devices }));
    assert.deepEqual(
      interfaces.map(({ device, parent, mac }) => [device, parent, mac]),
      [['macvtap3', 'vx0', MAC]],
    );
  });

  it('is refused where it is something else', () => {
    for (const xml of [
      domainXml(),
      '<domstatus/>',
      '<domstatus><domain/></domstatus>',
      '<!DOCTYPE x><domstatus/>',
      '',
    ]) {
      assert.throws(() => parseState(xml), { code: 'DOMAIN' });
    }
  });
});

describe('a device that no hook tells of', () => {
  it('gets its guest’s policy when libvirt has written whose it is, and is closed until then', async () => {
    await withStage(async ({ lab, log, agent, notices, write, begin }) => {
      write('web-1', { devices: '' });
      begin();
      const guest = lab.addGuest({ name: 'macvtap0', mac: MAC });
      const world = lab.world();
      await until('unmatched', () => log.of('unmatched').length === 1);
      assert.equal(await passes(packet(guest, world)), false);
      write('web-1', plugged);
      await log.attached('macvtap0');
      assert.equal(await passes(packet(guest, world)), true);
      const [device] = await agent.ask({ request: 'devices' });
      assert.deepEqual([device?.policy, device?.guest, device?.uuid], ['web', 'web-1', UUID]);
      assert.deepEqual(notices, []);
    });
  });

  it('is known where the agent starts beside guests that run', async () => {
    await withStage(async ({ lab, agent, log, write, begin }) => {
      lab.addGuest({ name: 'macvtap0', mac: MAC });
      await until('unmatched', () => log.of('unmatched').length === 1);
      write('web-1', plugged);
      await begin().settled();
      assert.equal((await agent.ask({ request: 'devices' }))[0]?.policy, 'web');
    });
  });

  it('is known also when the agent sees it after libvirt has written of it', async () => {
    await withStage(async ({ lab, log, write, begin }) => {
      write('web-1', plugged);
      await begin().settled();
      lab.addGuest({ name: 'macvtap0', mac: MAC });
      await log.attached('macvtap0');
    });
  });

  it('may ask for a policy in the definition, as far as the configuration lets it, and is told of once if not', async () => {
    await withStage(async ({ lab, agent, log, notices, write, begin }) => {
      const state = begin();
      const ask = (policy: string) => ({ ...plugged, metadata: metadata(`<x:policy>${policy}</x:policy>`) });
      lab.addGuest({ name: 'macvtap0', mac: MAC });
      await until('unmatched', () => log.of('unmatched').length === 1);
      for (let round = 0; round < 3; round++) {
        write('web-1', ask('store'));
        await until('the notice', () => notices.length > 0);
        await state.settled();
      }
      assert.equal(notices.length, 1, notices.join('\n'));
      assert.match(notices[0] ?? '', /macvtap0 of web-1: .*policy store, which is not in domain-policies/);
      assert.equal((await agent.ask({ request: 'devices' }))[0]?.state, 'unmatched');
      write('web-1', ask('other'));
      await log.attached('macvtap0');
      assert.deepEqual(
        log.attachments('macvtap0').map(({ policy }) => policy),
        ['other'],
      );
    });
  });

  it('keeps what a hook has told of it, and its quarantine', async () => {
    await withStage(async ({ lab, agent, log, write, begin }) => {
      lab.addGuest({ name: 'macvtap0', mac: MAC });
      lab.addGuest({ name: 'macvtap1', mac: '52:54:00:00:00:02' });
      await until('both', () => log.of('unmatched').length === 2);
      await agent.admit({ guest: { name: 'store-1' }, devices: [{ name: 'macvtap0' }] });
      await agent.quarantine({ name: 'macvtap1' });
      const second = directInterface({ mac: '52:54:00:00:00:02', device: 'macvtap1' });
      write('web-1', { devices: plugged.devices + second });
      await begin().settled();
      const devices = await agent.ask({ request: 'devices' });
      assert.deepEqual(
        devices.map(({ guest, state }) => [guest, state]),
        [
          ['store-1', 'attached'],
          ['web-1', 'quarantined'],
        ],
      );
    });
  });

  it('is nobody’s by a file that somebody else could have written, or that makes no sense', async () => {
    await withStage(async ({ lab, agent, log, folder, notices, write, begin }) => {
      lab.addGuest({ name: 'macvtap0', mac: MAC });
      await until('unmatched', () => log.of('unmatched').length === 1);
      writeFileSync(join(folder, 'web-1.xml'), stateXml(plugged));
      chmodSync(join(folder, 'web-1.xml'), 0o666);
      const state = begin();
      await state.settled();
      assert.match(notices.join('\n'), /web-1\.xml can be written by others/);
      notices.length = 0;
      rmSync(join(folder, 'web-1.xml'));
      writeFileSync(join(folder, 'web-1.xml'), stateXml(plugged).slice(0, -20));
      await until('the notice', () => /web-1\.xml: .*well-formed/.test(notices.join('\n')));
      // Another MAC than the device has: what is left of a guest that was there before.
      write('web-1', { devices: directInterface({ mac: '52:54:00:00:00:77' }) });
      await state.settled();
      assert.deepEqual(
        (await agent.ask({ request: 'devices' })).map(({ state: how, guest }) => [how, guest]),
        [['unmatched', undefined]],
      );
      // Nor does an agent mind that has stopped.
      state.close();
      await agent.stop();
      await begin().settled();
    });
  });

  it('is known also where libvirt starts after the agent, and starts again', async () => {
    await withStage(async ({ lab, log, folder, write, begin }) => {
      const libvirt = join(folder, '..');
      rmSync(libvirt, { recursive: true });
      begin();
      for (const name of ['macvtap0', 'macvtap1']) {
        lab.addGuest({ name, mac: MAC.replace('01', name === 'macvtap0' ? '01' : '02') });
        await until('unmatched', () => log.of('unmatched').some(({ device }) => device === name));
        mkdirSync(libvirt);
        mkdirSync(folder);
        write('web-1', {
          devices: directInterface({
            device: name,
            mac: MAC.replace('01', name === 'macvtap0' ? '01' : '02'),
          }),
        });
        await log.attached(name);
        rmSync(libvirt, { recursive: true });
      }
    });
  });
});
