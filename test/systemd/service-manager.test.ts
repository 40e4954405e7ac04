import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';
import type { AgentEvent } from '#src/agent/event.js';
import { Service } from '#src/systemd/service.js';
import { ServiceManager } from '#src/systemd/service-manager.js';
import { Watchdog } from '#src/systemd/watchdog.js';

const SOCKET = '/run/systemd/notify';

function managerWith(environment: Record<string, string>) {
  const told: string[] = [];
  const send = (path: string, text: string) => told.push(`${path} ${text}`);
  const manager = ServiceManager.from({ NOTIFY_SOCKET: SOCKET, ...environment }, send);
  assert.ok(manager);
  return { told, manager };
}

describe('a service manager', () => {
  it('is there only where it says how to reach it', () => {
    for (const NOTIFY_SOCKET of [undefined, '', '/', '@', 'vsock:2:1234', 'relative']) {
      assert.equal(ServiceManager.from({ NOTIFY_SOCKET }), undefined, NOTIFY_SOCKET);
    }
    assert.ok(ServiceManager.from({ NOTIFY_SOCKET: '@abstract' }));
  });

  it('wants to hear of life at half of what it waits, if it means this process', () => {
    const half = (environment: Record<string, string>) => managerWith(environment).manager.watchdogMs;
    assert.equal(half({}), undefined);
    assert.equal(half({ WATCHDOG_USEC: '30000000' }), 15_000);
    assert.equal(half({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: String(process.pid) }), 15_000);
    assert.equal(half({ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' }), undefined);
    for (const WATCHDOG_USEC of ['', 'soon', '-5', '0', '1e99']) {
      assert.equal(half({ WATCHDOG_USEC }), undefined, WATCHDOG_USEC);
    }
  });

  it('is told one line of status, and not twice the same', () => {
    const { told, manager } = managerWith({});
    manager.ready('first');
    manager.status('first');
    manager.status('second\nREADY=0');
    assert.deepEqual(told, [`${SOCKET} READY=1\nSTATUS=first`, `${SOCKET} STATUS=second READY=0`]);
  });

  it('that does not listen harms nobody', () => {
    const manager = ServiceManager.from({ NOTIFY_SOCKET: '/nowhere/at/all' });
    assert.ok(manager);
    manager.ready('ready');
    manager.stopping();
  });
});

describe('the watchdog', () => {
  it('is fed for as long as the loop takes steps, and no longer', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { told, manager } = managerWith({ WATCHDOG_USEC: '2000000' });
    let steps = 0;
    const watchdog = new Watchdog(manager, () => steps);
    const alive = () => told.length;
    t.mock.timers.tick(1_000);
    assert.equal(alive(), 0, 'no step since the start');
    steps = 3;
    t.mock.timers.tick(1_000);
    assert.equal(alive(), 1);
    t.mock.timers.tick(5_000);
    assert.equal(alive(), 1, 'the loop hangs, whatever the main thread does');
    steps = 4;
    t.mock.timers.tick(1_000);
    assert.deepEqual(told, [`${SOCKET} WATCHDOG=1`, `${SOCKET} WATCHDOG=1`]);
    watchdog.close();
    steps = 5;
    t.mock.timers.tick(5_000);
    assert.equal(alive(), 2);
  });

  it('is nobody’s business without WATCHDOG_USEC', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { told, manager } = managerWith({});
    const steps = mock.fn(() => 0);
    new Watchdog(manager, steps);
    t.mock.timers.tick(60_000);
    assert.equal(told.length, 0);
    assert.equal(steps.mock.callCount(), 0);
  });
});

describe('a service', () => {
  const attached = (index: number): AgentEvent => ({
    event: 'attached',
    device: `macvtap${index}`,
    index,
    policy: 'guard',
    tables: [],
    replaced: false,
    kept: false,
    inAdvance: true,
    microseconds: 1,
  });
  const ready: AgentEvent = {
    event: 'ready',
    devices: 1,
    attached: 1,
    placement: 'names',
    microseconds: 1,
  };

  it('is ready when the agent is, and then says how many devices it filters', () => {
    const { told, manager } = managerWith({});
    const service = new Service(manager);
    service.note(attached(4));
    assert.equal(told.length, 0, 'not ready yet');
    service.note(ready);
    service.note(attached(5));
    service.note(attached(5));
    service.note({
      event: 'detached',
      device: 'macvtap4',
      index: 4,
      reason: 'gone',
      tables: [],
      microseconds: 1,
    });
    assert.deepEqual(
      told.map((text) => text.replace(`${SOCKET} `, '')),
      [
        'READY=1\nSTATUS=filtering 1 device, placement names',
        'STATUS=filtering 2 devices, placement names',
        'STATUS=filtering 1 device, placement names',
      ],
    );
  });

  it('counts devices of one index in several network namespaces, until the namespace is gone', () => {
    const service = new Service(managerWith({}).manager);
    service.note(ready);
    service.note(attached(4));
    for (const namespace of ['a', 'b']) service.note({ ...attached(4), namespace });
    assert.match(service.status, /^filtering 3 devices/);
    service.note({ event: 'namespace-gone', namespace: 'a' });
    assert.match(service.status, /^filtering 2 devices/);
    service.note({ event: 'unmatched', device: 'macvtap4', index: 4, closed: true, namespace: 'b' });
    assert.match(service.status, /^filtering 1 device,/);
  });

  it('is ready again after a reload, whatever became of it', () => {
    const { told, manager } = managerWith({});
    const service = new Service(manager);
    service.note(ready);
    service.reloading();
    service.note({ event: 'reload-failed', file: 'f', error: { code: 'CONFIG', message: 'no' } });
    service.stopping();
    assert.match(told[1] ?? '', /RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=/);
    assert.match(told[2] ?? '', /READY=1\n/);
    assert.match(told[3] ?? '', /STOPPING=1\n/);
  });
});
