import { TapwallError } from '../error.js';
import { RTM_DELLINK, RTNLGRP_LINK } from '../links/constants.js';
import type { Link } from '../links/link.js';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from '../netlink/constants.js';
import type { HookDevice } from '../nftables/chain.js';
import { NFNLGRP_NFTABLES } from '../nftables/constants.js';
import { Refusal, type SystemErrorCode, systemError } from './fake-answer.js';
import { type FakeLinkChanges, type FakeLinkOptions, FakeLinks } from './fake-links.js';
import { FakeNftables, type FakeRefusal, type FakeTransaction, type Journal } from './fake-nftables.js';
import { FakePoller } from './fake-poller.js';
import { FakeSocket, type Subsystem } from './fake-socket.js';
import type { FakeTable } from './fake-table.js';
import type { Kernel, NamespaceHandle, Poller, Readiness, SocketOptions, Waker } from './kernel.js';
import { NetlinkSocket } from './socket.js';

export type { FakeLinkChanges, FakeLinkOptions } from './fake-links.js';
export type { FakeRefusal, FakeTransaction } from './fake-nftables.js';
export type { FakeOperation } from './fake-operation.js';
export type { FakeTable } from './fake-table.js';

/** What a fake kernel can do. */
export interface FakeKernelOptions {
  /**
   * Whether a base chain may hook a device that does not exist, as from Linux 6.16 on; true unless given. Without
   * it such a chain is refused with ENOENT, and a hook on a name prefix with EINVAL; hooks follow a device that is
   * renamed and go with it, and a chain goes with its last device.
   */
  namesInAdvance?: boolean;
}

/** Where ip-netns(8) keeps named namespaces. */
const NAMED_NAMESPACES = '/run/netns';
/** Nothing of the real machine is below this path, so nobody enters a fake namespace by mistake. */
const FAKE_DESCRIPTORS = '/fake/fd';
const FIRST_DESCRIPTOR = 3;
const FIRST_PORT = 1000;

/** Counted over all fake kernels, so that one does not take another's handles for its own. */
let nextInode = 4026531840n;

/** One network namespace. */
class FakeNamespace {
  readonly inode: bigint;
  readonly links: FakeLinks;
  readonly nftables: FakeNftables;
  /** The sockets that joined RTNLGRP_LINK, and whether each has a filter. */
  readonly listeners = new Map<FakeSocket, { filtered: boolean }>();
  /** What each device was called last. */
  readonly #names = new Map<number, string>();

  constructor(inode: bigint, journal: Journal, namesInAdvance: boolean) {
    this.inode = inode;
    this.links = new FakeLinks((link, event) => {
      if (!namesInAdvance) this.#moveHooks(link, event.type === RTM_DELLINK);
      for (const [socket, { filtered }] of this.listeners) {
        if (!filtered || link.kind === 'macvtap') socket.notify(event);
      }
    });
    this.nftables = new FakeNftables(inode, journal, (device) => this.#canHook(device, namesInAdvance));
  }

  #moveHooks({ index, name }: Link, isGone: boolean): void {
    const before = this.#names.get(index);
    if (isGone) this.#names.delete(index);
    else this.#names.set(index, name);
    if (before === undefined || (before === name && !isGone)) return;
    this.nftables.followDevice(before, isGone ? undefined : name);
  }

  #canHook(device: HookDevice, namesInAdvance: boolean): boolean {
    if (namesInAdvance) return true;
    if ('prefix' in device) throw new Refusal('EINVAL');
    return this.links.find(device.name) !== undefined;
  }
}

/**
 * A kernel that lives in memory, for tests: links, nf_tables and network namespaces, as much of them as tapwall uses.
 * It takes the bytes that the real kernel would take and answers with the bytes that it would answer with, so that
 * what is tested runs unchanged. Nothing here touches the machine, needs a right or starts a thread.
 *
 * ```ts
 * const kernel = new FakeKernel();
 * const loop = new AgentLoop(plan, { kernel, wakerFd: kernel.createWaker().fd, emit });
 * loop.start();
 * kernel.addLink({ name: 'macvtap0', kind: 'macvtap' });
 * loop.step(0);
 * assert.equal(kernel.transactions.length, 1);
 * assert.deepEqual(kernel.tables().map(({ name }) => name), ['tapwall.2.lan-guard']);
 * ```
 *
 * What it does not do:
 * - No frames pass. Counters don't count, and timeouts don't run.
 * - Links are made and changed by the methods below: a route socket answers RTM_GETLINK and nothing else, so
 *   `probeKernel` cannot find out anything. Of rules, sets and objects there are dumps, but no answer about a single
 *   one.
 * - Inside expressions it looks for the chains and sets that they lead to, and for nothing else: nothing is validated,
 *   and rules may lead in a circle.
 * - Of a socket's filter it takes only that there is one, for it runs no BPF: a route socket with any filter is told
 *   of macvtap links only, a netfilter socket of everything.
 * - There are no flow tables. NFNLGRP_NFTABLES tells what was asked for and, of a table, not what went with it; a
 *   process id there is the port.
 * - A receive buffer never fills up by itself; see `loseEvents`.
 *
 * Methods that take a namespace mean, without one, the namespace the process would run in.
 */
export class FakeKernel implements Kernel {
  readonly #journal: Journal = {
    transactions: [],
    refusals: [],
    onTransaction: undefined,
  };
  readonly #namesInAdvance: boolean;
  readonly #own: FakeNamespace;
  /** Namespaces that are held open, by descriptor. */
  readonly #held = new Map<number, FakeNamespace>();
  readonly #named = new Map<string, FakeNamespace>();
  readonly #sockets = new WeakSet<FakeSocket>();
  /** Wakers that are open, by descriptor, and whether each was signalled. */
  readonly #wakers = new Map<number, { signalled: boolean }>();
  #nextDescriptor = FIRST_DESCRIPTOR;
  #nextPort = FIRST_PORT;
  /** How often a name was given to a namespace or taken from one. */
  #mounts = 0;

  constructor(options: FakeKernelOptions = {}) {
    this.#namesInAdvance = options.namesInAdvance ?? true;
    this.#own = this.#newNamespace();
  }

  /**
   * Every transaction that came into force, oldest first, but for those without an operation. It may be emptied, to
   * count anew.
   */
  get transactions(): FakeTransaction[] {
    return this.#journal.transactions;
  }

  /** Undefined before the first. */
  get lastTransaction(): FakeTransaction | undefined {
    return this.#journal.transactions.at(-1);
  }

  /** Every transaction that was refused, oldest first. It may be emptied, to count anew. */
  get refusals(): FakeRefusal[] {
    return this.#journal.refusals;
  }

  /**
   * Refuses the next transaction of a namespace at its last operation. Called again, it is for the one after.
   * @param errno the positive number, errno(3).
   * @param message the kernel's words in the extended acknowledgement; absent for none.
   */
  refuseNext(errno: number, message?: string, namespace?: NamespaceHandle): void {
    if (!Number.isInteger(errno) || errno < 1 || errno > 4095) {
      throw new TapwallError('ARGUMENT', `${errno} is not an errno`);
    }
    const { injected } = this.#namespace(namespace).nftables;
    injected.push(new Refusal(errno, undefined, { text: message }));
  }

  /**
   * Lets a system call of the next transaction of a namespace fail. Called again, it is for the one after.
   * @param call `sendto`: the transaction never came to the kernel; `recvmsg`: it did, and what it came to got lost.
   */
  failNext(call: 'sendto' | 'recvmsg', code: SystemErrorCode, namespace?: NamespaceHandle): void {
    const error = systemError(code, call, 'as was asked for');
    this.#namespace(namespace).nftables.failures.push({ error, isInForce: call === 'recvmsg' });
  }

  /** Called after each transaction that came into force: for what happens in the middle. */
  get onTransaction(): (() => void) | undefined {
    return this.#journal.onTransaction;
  }

  /** Undefined for nothing. */
  set onTransaction(action: (() => void) | undefined) {
    this.#journal.onTransaction = action;
  }

  /**
   * What nf_tables holds, decoded, in the order in which the tables were made. Changing it changes nothing in the
   * kernel.
   */
  tables(namespace?: NamespaceHandle): FakeTable[] {
    return this.#namespace(namespace).nftables.snapshot();
  }

  /** What tells transactions of a namespace from those of others. */
  inode(namespace?: NamespaceHandle): bigint {
    return this.#namespace(namespace).inode;
  }

  /** The ruleset's generation, which each commit that changes something raises by one. */
  generation(namespace?: NamespaceHandle): number {
    return this.#namespace(namespace).nftables.generation;
  }

  /** Sorted by index. Each namespace begins with `lo`. */
  links(namespace?: NamespaceHandle): Link[] {
    return this.#namespace(namespace).links.list();
  }

  /**
   * @throws TapwallError ARGUMENT for a name or index that is taken or no kernel would take.
   * @throws TapwallError LINK_NOT_FOUND when there is no link of the parent's name.
   */
  addLink(link: FakeLinkOptions, namespace?: NamespaceHandle): Link {
    return this.#namespace(namespace).links.add(link);
  }

  /**
   * @param name of the link, before the change.
   * @throws TapwallError LINK_NOT_FOUND, or ARGUMENT as `addLink`.
   */
  updateLink(name: string, changes: FakeLinkChanges, namespace?: NamespaceHandle): Link {
    return this.#namespace(namespace).links.update(name, changes);
  }

  /**
   * Removes a link, and before it those that stand on it.
   * @throws TapwallError LINK_NOT_FOUND
   */
  removeLink(name: string, namespace?: NamespaceHandle): void {
    this.#namespace(namespace).links.remove(name);
  }

  /**
   * Lets the receive buffer of every socket that listens to link events run over. As on Linux, the next `receive`
   * throws ENOBUFS, then come the events that were queued before, and until the last of those has been taken further
   * events are lost without another word.
   */
  loseEvents(namespace?: NamespaceHandle): void {
    for (const socket of this.#namespace(namespace).listeners.keys()) socket.overrun();
  }

  /** Takes back what the sockets that listen to nf_tables have not read: what frames change is told to nobody. */
  forgetNotifications(namespace?: NamespaceHandle): void {
    for (const socket of this.#namespace(namespace).nftables.listeners) socket.discard();
  }

  /** Lets the receive buffer of every socket that listens to nf_tables run over, as `loseEvents` does. */
  loseNotifications(namespace?: NamespaceHandle): void {
    for (const socket of this.#namespace(namespace).nftables.listeners) socket.overrun();
  }

  createNamespace(): NamespaceHandle {
    return this.#hold(this.#newNamespace());
  }

  /** A namespace that `openNamespace` finds by its name, as `ip netns add` makes one. */
  addNamespace(name: string): NamespaceHandle {
    if (name === '' || name.includes('/') || this.#named.has(name)) {
      throw new TapwallError(
        'ARGUMENT',
        `a namespace cannot have the name ${JSON.stringify(name)}, or it is taken`,
      );
    }
    const namespace = this.#newNamespace();
    this.#named.set(name, namespace);
    this.#mounts++;
    return this.#hold(namespace);
  }

  /** Takes a name away, as `ip netns delete` does. What holds the namespace open keeps it. */
  removeNamespace(name: string): void {
    if (this.#named.delete(name)) this.#mounts++;
  }

  openNamespace(nameOrPath: string): NamespaceHandle {
    const path = nameOrPath.includes('/') ? nameOrPath : `${NAMED_NAMESPACES}/${nameOrPath}`;
    const folder = path.slice(0, path.lastIndexOf('/'));
    const name = path.slice(folder.length + 1);
    let namespace: FakeNamespace | undefined;
    if (folder === NAMED_NAMESPACES) namespace = this.#named.get(name);
    else if (folder === FAKE_DESCRIPTORS) namespace = this.#held.get(Number(name));
    if (!namespace) {
      throw new TapwallError(
        'NAMESPACE_NOT_FOUND',
        `the fake kernel has no network namespace ${nameOrPath}`,
        {
          hint: 'Make one with createNamespace(), or under a name with addNamespace().',
        },
      );
    }
    return this.#hold(namespace);
  }

  /** @throws TapwallError NOT_SUPPORTED for a protocol other than NETLINK_ROUTE and NETLINK_NETFILTER. */
  openSocket(options: SocketOptions): NetlinkSocket {
    const { protocol, groups = [], filter } = options;
    const namespace = this.#namespace(options.namespace);
    const { links, nftables, listeners } = namespace;
    const subsystem = new Map<number, Subsystem>([
      [NETLINK_ROUTE, links],
      [NETLINK_NETFILTER, nftables],
    ]).get(protocol);
    if (!subsystem) {
      throw new TapwallError('NOT_SUPPORTED', `the fake kernel does not speak netlink protocol ${protocol}`);
    }
    const onListen = (listener: FakeSocket, on: boolean) => {
      if (protocol === NETLINK_ROUTE && groups.includes(RTNLGRP_LINK)) {
        if (on) listeners.set(listener, { filtered: filter !== undefined });
        else listeners.delete(listener);
      }
      if (protocol === NETLINK_NETFILTER && groups.includes(NFNLGRP_NFTABLES)) {
        if (on) nftables.listeners.add(listener);
        else nftables.listeners.delete(listener);
      }
    };
    const onClose = (closed: FakeSocket) => {
      onListen(closed, false);
      if (protocol === NETLINK_NETFILTER) nftables.release(closed.portId);
    };
    const linkName = (index: number) => links.list().find((link) => link.index === index)?.name;
    const socket = new FakeSocket(this.#nextPort++, subsystem, { linkName, onListen, onClose });
    this.#sockets.add(socket);
    socket.listen(true);
    return new NetlinkSocket(socket);
  }

  /** Its signal has to come from the thread that the fake kernel is in: nothing of it is shared. */
  createWaker(): Waker {
    const fd = this.#nextDescriptor++;
    const state = { signalled: false };
    this.#wakers.set(fd, state);
    return {
      fd,
      signal: () => {
        if (!this.#wakers.has(fd)) throw systemError('EBADF', 'write', 'Bad file descriptor');
        state.signalled = true;
      },
      close: () => {
        this.#wakers.delete(fd);
      },
    };
  }

  /**
   * Never blocks, whatever the timeout: nothing can happen meanwhile in a kernel that has no thread of its own. Gives
   * back what is ready now, which may be nothing.
   * @param wakerFd -1 for none.
   */
  wait(sockets: readonly NetlinkSocket[], wakerFd: number, _timeoutMs: number): Readiness {
    const readable = sockets.map(({ transport }) => {
      if (transport instanceof FakeSocket && this.#sockets.has(transport)) return transport.readable;
      throw new TapwallError('ARGUMENT', 'the fake kernel cannot wait on a socket that it did not open');
    });
    return { sockets: readable, woken: this.#takeSignal(wakerFd, 'poll') };
  }

  /** Its waits never block, as `wait`. */
  createPoller(wakerFd: number): Poller {
    return new FakePoller(
      () => this.#takeSignal(wakerFd, 'epoll_wait'),
      () => this.#mounts,
    );
  }

  #takeSignal(wakerFd: number, syscall: string): boolean {
    const waker = this.#wakers.get(wakerFd);
    if (!waker && wakerFd !== -1) throw systemError('EBADF', syscall, 'Bad file descriptor');
    const signalled = waker?.signalled ?? false;
    if (waker) waker.signalled = false;
    return signalled;
  }

  #newNamespace(): FakeNamespace {
    return new FakeNamespace(nextInode++, this.#journal, this.#namesInAdvance);
  }

  #hold(namespace: FakeNamespace): NamespaceHandle {
    const fd = this.#nextDescriptor++;
    this.#held.set(fd, namespace);
    return {
      fd,
      inode: namespace.inode,
      path: `${FAKE_DESCRIPTORS}/${fd}`,
      close: () => {
        this.#held.delete(fd);
      },
    };
  }

  #namespace(handle: NamespaceHandle | undefined): FakeNamespace {
    if (!handle) return this.#own;
    const namespace = this.#held.get(handle.fd);
    if (namespace?.inode !== handle.inode) throw systemError('EBADF', 'setns', 'Bad file descriptor');
    return namespace;
  }
}
