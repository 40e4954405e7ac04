import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinkEvents } from '#src/agent/link-events.js';
import { compilePlan, type Plan } from '#src/agent/plan.js';
import { Rehearsal } from '#src/agent/rehearsal.js';
import { Stage } from '#src/agent/stage.js';
import { Compiler } from '#src/compiler/compiler.js';
import type { Placement } from '#src/config/configuration.js';
import { parseConfiguration } from '#src/config/load.js';
import type { Kernel, SocketOptions } from '#src/kernel/kernel.js';
import { linuxKernel } from '#src/kernel/linux.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { KernelError } from '#src/netlink/error.js';

const CONFIGURATION = `devices:
  prefixes: [macvtap]
policies:
  web: { guards: [mac, ip], default: accept }
  lan: { guards: [mac], default: drop }
bindings:
  - { mac: "52:54:00:00:00:01", policy: web, addresses: [203.0.113.7] }
  - { device: macvtap*, policy: lan }
`;

async function plan(placement: Placement): Promise<Plan> {
  const compiler = new Compiler();
  try {
    return await compilePlan(parseConfiguration(CONFIGURATION, 'tapwall.yaml'), compiler, {
      placement,
      capabilities: { egress: true },
      keepsHooks: true,
      destroys: true,
      ownerPersist: false,
    });
  } finally {
    compiler.close();
  }
}

/** The real kernel; what is opened, closed and sent is counted. */
class Count {
  transactions = 0;
  sockets = 0;
  namespaces = 0;
  readonly kernel: Kernel;

  constructor(kernel = linuxKernel()) {
    this.kernel = {
      createNamespace: () => {
        const handle = kernel.createNamespace();
        this.namespaces++;
        return Object.create(handle, {
          fd: { get: () => handle.fd },
          inode: { get: () => handle.inode },
          close: {
            value: () => {
              this.namespaces--;
              handle.close();
            },
          },
        });
      },
      openNamespace: (path) => kernel.openNamespace(path),
      openSocket: (options) => this.#watch(kernel.openSocket(options), options),
      createWaker: () => kernel.createWaker(),
      createPoller: (wakerFd) => kernel.createPoller(wakerFd),
      wait: (sockets, wakerFd, timeoutMs) => kernel.wait(sockets, wakerFd, timeoutMs),
    };
  }

  #watch(socket: NetlinkSocket, { protocol }: SocketOptions): NetlinkSocket {
    this.sockets++;
    const [commit, close] = [socket.commit.bind(socket), socket.close.bind(socket)];
    socket.commit = (batch) => {
      if (protocol === NETLINK_NETFILTER) this.transactions++;
      commit(batch);
    };
    let isOpen = true;
    socket.close = () => {
      if (isOpen) this.sockets--;
      isOpen = false;
      close();
    };
    return socket;
  }
}

test('a stage tells of its devices as the kernel does, and of nothing else', () => {
  const stage = new Stage(linuxKernel(), [
    { name: 'macvtap0', mac: '52:54:00:00:00:01' },
    { name: 'macvtap1', mac: undefined },
  ]);
  try {
    const events = new LinkEvents(stage, undefined);
    assert.equal(events.next(), undefined);
    stage.tell('appears', 0);
    stage.tell('goes', 1);
    const [appeared, gone] = [events.next(), events.next()];
    assert.ok(Array.isArray(appeared) && Array.isArray(gone));
    const [one] = appeared;
    assert.equal(one?.type, 'new');
    assert.deepEqual(
      { ...one?.link, index: 0, parentIndex: 0 },
      {
        name: 'macvtap0',
        index: 0,
        up: false,
        kind: 'macvtap',
        mac: '52:54:00:00:00:01',
        alias: undefined,
        parentIndex: 0,
        parentElsewhere: false,
      },
    );
    assert.equal(gone[0]?.type, 'gone');
    assert.equal(gone[0]?.link.name, 'macvtap1');
    assert.match(gone[0]?.link.mac ?? '', /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
    assert.equal(events.next(), undefined);
  } finally {
    stage.close();
  }
});

for (const placement of ['prefix', 'names', 'device', 'chain'] as const) {
  test(`a rehearsal attaches and detaches hundreds of times, and leaves nothing [${placement}]`, async () => {
    const count = new Count();
    const rehearsal = new Rehearsal(count.kernel, await plan(placement));
    const before = count.transactions;
    // Each round has a device appear and go, or eight together.
    assert.ok(before > 120, `${before} transactions`);
    assert.equal(rehearsal.isOver, false);
    for (let round = 0; round < 100; round++) rehearsal.goOn();
    assert.ok(count.transactions >= before + 200, `${count.transactions} transactions after ${before}`);
    assert.equal(count.namespaces, 1);
    rehearsal.close();
    assert.ok(rehearsal.isOver);
    assert.deepEqual([count.sockets, count.namespaces], [0, 0]);
  });
}

test('without the right to make namespaces nothing is rehearsed, and nothing fails', async () => {
  const count = new Count();
  const refuse = () => {
    throw new KernelError('a network namespace of its own', { errno: 1, sequence: 0, extendedAck: {} });
  };
  const rehearsal = new Rehearsal({ ...count.kernel, createNamespace: refuse }, await plan('prefix'));
  assert.ok(rehearsal.isOver);
  rehearsal.goOn();
  rehearsal.close();
  assert.deepEqual([count.transactions, count.sockets], [0, 0]);
});
