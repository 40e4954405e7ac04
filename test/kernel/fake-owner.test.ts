/** Owners of tables and what is told of changes: the fake kernel and the real one, step by step. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Watch } from '#src/agent/watch.js';
import { FakeKernel } from '#src/kernel/fake.js';
import type { Kernel } from '#src/kernel/kernel.js';
import { linuxKernel } from '#src/kernel/linux.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import { parseAttributes, readText } from '#src/netlink/attribute.js';
import { NETLINK_NETFILTER } from '#src/netlink/constants.js';
import { isKernelError } from '#src/netlink/error.js';
import type { Request } from '#src/netlink/message.js';
import {
  NFNLGRP_NFTABLES,
  NFT_MSG_DELTABLE,
  NFT_MSG_GETTABLE,
  NFT_MSG_NEWGEN,
  NFT_TABLE_F_DORMANT,
  NFT_TABLE_F_OWNER,
  NFT_TABLE_F_PERSIST,
  NFTA_TABLE_NAME,
} from '#src/nftables/constants.js';
import { generationSchema } from '#src/nftables/generation.js';
import { dumpRequest, nftablesRequest, parseNftablesMessage } from '#src/nftables/message.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import { tableSchema } from '#src/nftables/table.js';
import * as ask from './fake-requests.js';
import { commit } from './fake-subject.js';

const OWNER = NFT_TABLE_F_OWNER;
const PERSIST = NFT_TABLE_F_PERSIST;

/** A request for a table, with flags or without any. */
function table(name: string, flags?: number): Request {
  const attributes = tableSchema.encode(flags === undefined ? { name } : { name, flags });
  return nftablesRequest(0, ask.CREATE, attributes);
}

const flush = nftablesRequest(NFT_MSG_DELTABLE, 0, [], 0);

/** Two programs and a listener in a namespace of one kernel; all that happens, in lines. */
class Stage {
  readonly #kernel: Kernel;
  readonly #namespace;
  readonly #sockets = new Map<string, NetlinkSocket>();
  readonly #listener: NetlinkSocket;
  /** Another one: a dump would take the notifications along. */
  readonly #reader: NetlinkSocket;
  readonly #lines: string[] = [];

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#namespace = kernel.createNamespace();
    const namespace = this.#namespace;
    this.#reader = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
    const groups = [NFNLGRP_NFTABLES];
    this.#listener = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace, groups });
  }

  send(who: string, ...requests: Request[]): void {
    let outcome = 'ok';
    try {
      commit(this.#socket(who), requests);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      outcome = `${error.code}${error.extendedAck.offset === undefined ? '' : `@${error.extendedAck.offset}`}`;
    }
    this.#note(`${who}: ${outcome}`);
  }

  leave(who: string): void {
    this.#sockets.get(who)?.close();
    this.#sockets.delete(who);
    this.#note(`${who} leaves`);
  }

  close(): string[] {
    for (const socket of [...this.#sockets.values(), this.#listener, this.#reader]) socket.close();
    this.#namespace.close();
    return this.#lines;
  }

  #socket(who: string): NetlinkSocket {
    const known = this.#sockets.get(who);
    if (known) return known;
    const socket = this.#kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: this.#namespace });
    this.#sockets.set(who, socket);
    return socket;
  }

  #nameOf(port: number | undefined): string {
    if (port === undefined) return 'nobody';
    const known = [...this.#sockets].find(([, { portId }]) => portId === port);
    return known?.[0] ?? 'somebody';
  }

  #note(words: string): void {
    const dump = this.#reader.dump(dumpRequest(NFT_MSG_GETTABLE), 'the dump of the tables');
    const tables = parseRuleset(dump).tables.map(
      ({ name, flags, owner }) => `${name} ${flags} ${this.#nameOf(owner)}`,
    );
    this.#lines.push(`${words}; ${tables.join(', ')}; ${this.#told().join(', ')}`);
  }

  /** Whose transactions were told of, and about which tables. */
  #told(): string[] {
    const told: string[] = [];
    let about = new Set<string>();
    for (let messages = this.#listener.receive(); messages; messages = this.#listener.receive()) {
      for (const message of messages) {
        const parsed = parseNftablesMessage(message);
        if (!parsed) continue;
        if (parsed.operation === NFT_MSG_NEWGEN) {
          const { processId, processName } = generationSchema.parse(parsed.attributes);
          assert.ok(processId !== undefined && processName !== undefined);
          told.push(`${this.#nameOf(message.portId)} changed ${[...about].sort().join(' ')}`);
          about = new Set();
        } else {
          const name = parseAttributes(parsed.attributes).find(({ type }) => type === NFTA_TABLE_NAME);
          if (name) about.add(readText(name));
        }
      }
    }
    assert.equal(about.size, 0, 'a change without a NEWGEN');
    return told;
  }
}

function play(kernel: Kernel): string[] {
  const stage = new Stage(kernel);
  stage.send('a', table('owned', OWNER | PERSIST), ask.newChain('owned', 'c'));
  stage.send('a', table('brief', OWNER));
  stage.send('a', table('plain', 0), ask.newChain('plain', 'c'));
  stage.send('a', table('orphan', PERSIST));
  stage.send('a', table('strange', 8));
  // Nothing to do, and nothing is told.
  stage.send('a', table('owned'));
  stage.send('a', table('owned', OWNER | PERSIST));
  stage.send('b', table('owned'));
  stage.send('b', table('owned', OWNER | PERSIST));
  stage.send('b', ask.newChain('owned', 'd'));
  stage.send('b', ask.deleteTable('owned'));
  stage.send('b', ask.newChain('plain', 'd'));
  // No flag makes a table one's own that was made for nobody, and none takes an owner away.
  stage.send('b', table('plain', OWNER));
  stage.send('b', table('plain', PERSIST));
  stage.send('a', table('owned', PERSIST));
  stage.send('a', table('owned', 0));
  stage.send('a', table('owned', OWNER));
  stage.send('a', table('owned', OWNER | PERSIST | NFT_TABLE_F_DORMANT));
  stage.send('a', table('owned', OWNER | PERSIST));
  stage.send('c', table('orphan', PERSIST | NFT_TABLE_F_DORMANT));
  stage.send('b', table('orphan', OWNER | PERSIST), ask.newChain('orphan', 'c'));
  stage.send('a', ask.newChain('orphan', 'd'));
  stage.send('b', flush);
  stage.leave('a');
  stage.send('b', ask.newChain('owned', 'by-b'));
  stage.send('b', table('owned', OWNER | PERSIST), ask.newChain('owned', 'e'));
  stage.send('a', ask.newChain('owned', 'f'));
  stage.send('c', flush);
  stage.leave('b');
  stage.send('c', flush);
  return stage.close();
}

test('tables are owned, given up, taken over, flushed and told of as by the real kernel', () => {
  const lines = play(new FakeKernel());
  assert.deepEqual(lines, play(linuxKernel()));
  assert.ok(lines.some((line) => line.startsWith('b: EPERM')));
  assert.match(lines.at(-1) ?? '', /^c: ok; ; c changed owned$/);
});

/** What comes with taking an orphan over, in the same transaction. */
function adopt(kernel: Kernel): string[] {
  const lines: string[] = [];
  const hooking = (...names: string[]) => ask.base(names).hook;
  for (const [what, ...requests] of [
    ['nothing'],
    ['a chain', ask.newChain('t', 'd')],
    ['a set', ask.newSet('t', 's')],
    ['a rule of a base chain', ask.newRule('t', 'base', undefined, { expressions: ask.goto('c') })],
    ['a base chain', ask.newChain('t', 'more', ask.CREATE, ask.base(['x9']))],
    ['a base chain less', ask.deleteChain('t', 'base')],
    ['a hook', ask.newChain('t', 'base', 0, { hook: hooking('x9') })],
    ['a hook less', ask.deleteChain('t', 'base', { hook: hooking('x1') })],
    ['a policy', ask.newChain('t', 'base', 0, { policy: 0 })],
    ['the end of the table', ask.deleteTable('t')],
  ] as const) {
    const stage = new Stage(kernel);
    stage.send('a', table('t', OWNER | PERSIST), ask.newChain('t', 'c'));
    stage.send('a', ask.newChain('t', 'base', ask.CREATE, ask.base(['x0', 'x1'])));
    stage.leave('a');
    stage.send('b', table('t', OWNER | PERSIST), ...requests);
    stage.send('b', ...requests);
    lines.push(`${what}: ${stage.close().slice(-2).join(' | ')}`);
  }
  return lines;
}

test('hooks do not come or go in the transaction that takes a table over, as with the real kernel', () => {
  const lines = adopt(new FakeKernel());
  assert.deepEqual(lines, adopt(linuxKernel()));
  assert.ok(lines.some((line) => line.startsWith('a hook less: b: EOPNOTSUPP')));
});

test('a listener is not woken by what its own port commits, and is by what others do', () => {
  const kernel = linuxKernel();
  const namespace = kernel.createNamespace();
  const open = () => kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
  const [own, other] = [open(), open()];
  const watch = new Watch(kernel, namespace, own.portId);
  const isReadable = () => kernel.wait([watch.socket], -1, 0).sockets[0];
  commit(own, [table('tapwall', 0), ask.newChain('tapwall', 'c')]);
  assert.equal(isReadable(), false);
  commit(other, [table('filter', 0)]);
  assert.equal(isReadable(), true);
  assert.equal(watch.drain(), undefined);
  commit(other, [ask.newChain('tapwall', 'd')]);
  const change = watch.drain();
  assert.deepEqual([...(change?.tables ?? [])], ['tapwall']);
  assert.deepEqual(
    change?.by.map(({ port, processId }) => [port, processId]),
    [[other.portId, process.pid]],
  );
  assert.equal(isReadable(), false);
  for (const socket of [own, other, watch]) socket.close();
  namespace.close();
});

test('a listener that could not keep up says so once, and hears what comes then', () => {
  const kernel = linuxKernel();
  const namespace = kernel.createNamespace();
  const open = () => kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace });
  const [own, other] = [open(), open()];
  const watch = new Watch(kernel, namespace, own.portId);
  commit(other, [table('tapwall', 0)]);
  // Each is told of in datagrams that take the kernel a kilobyte or so.
  for (let times = 0; times < 16_000; times++) {
    commit(other, [ask.newChain('tapwall', 'c')]);
    commit(other, [ask.deleteChain('tapwall', 'c')]);
  }
  assert.equal(watch.drain()?.lost, true);
  assert.equal(watch.drain(), undefined);
  commit(other, [ask.newChain('tapwall', 'd')]);
  assert.deepEqual([watch.drain()?.lost, watch.drain()], [false, undefined]);
  for (const socket of [own, other, watch]) socket.close();
  namespace.close();
});
