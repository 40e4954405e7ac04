/**
 * Small programs that tests run in a worker or in a process of their own; the name comes from `workerData` or
 * the command line.
 */
import { closeSync, openSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import {
  addon,
  createVeth,
  dumpLinks,
  linkName,
  message,
  NETLINK_NETFILTER,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_NOOP,
  nextMessage,
  nftablesDefaults,
  openDescriptors,
  socketDefaults,
  startWorker,
} from './support.js';

function report(value: unknown): void {
  if (isMainThread) process.stdout.write(`${JSON.stringify(value)}\n`);
  else parentPort?.postMessage(value);
}

const programs: Record<string, () => Promise<void> | void> = {
  /**
   * Waits for the waker in `workerData`, however long it takes, in pieces that let the worker be terminated.
   */
  'wait-for-waker'() {
    report('waiting');
    let ready = 0;
    while (ready === 0) ready = addon.wait([], workerData.waker, 1000);
    report(ready);
  },

  'poll-for-waker'() {
    const poller = new addon.Poller(workerData.waker);
    report('waiting');
    let ready: number[] = [];
    while (ready.length === 0) ready = poller.wait(1000);
    report(ready);
  },

  'poll-forever'() {
    const poller = new addon.Poller(-1);
    report('waiting');
    for (;;) poller.wait(1000);
  },

  'wait-forever'() {
    const namespace = addon.Namespace.create();
    const socket = new addon.Socket({ ...socketDefaults, namespace: namespace.fd, groups: [1] });
    const returned = new Int32Array(workerData?.returned ?? new SharedArrayBuffer(4));
    report('waiting');
    for (;;) {
      // undefined, where a number is promised, is how a call ends that was made after the termination. The
      // loop has no call but this one: at any other, V8 would notice the termination.
      if (addon.wait([socket], -1, 1000) !== undefined) returned[0] = (returned[0] as number) + 1;
    }
  },

  /** Is always somewhere in the addon, or on its way in or out. */
  'call-without-end'() {
    const namespace = addon.Namespace.create();
    const noop = message(NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 1);
    report('calling');
    for (;;) {
      const socket = new addon.Socket({ ...socketDefaults, namespace: namespace.fd, groups: [1] });
      const waker = new addon.Waker();
      waker.signal();
      addon.wait([socket, socket], waker.fd, 0);
      const poller = new addon.Poller(waker.fd);
      poller.add(socket.fd, 1, false);
      waker.signal();
      poller.wait(0);
      poller.close();
      socket.transact(noop);
      socket.dump(noop, 100);
      socket.receive();
      addon.runNftables({ ...nftablesDefaults, namespace: namespace.fd, input: 'list tables' });
      try {
        addon.wait([socket], -1, -1);
      } catch {
        // That was the point.
      }
      addon.Namespace.create().close();
      socket.close();
      waker.close();
    }
  },

  async 'exit-while-a-worker-waits'() {
    const worker = startWorker('wait-forever');
    await nextMessage(worker);
    process.exit(7);
  },

  /** The parent sends signals while the main thread is in wait(); their handler can only run afterwards. */
  async 'wait-through-signals'() {
    let signals = 0;
    process.on('SIGUSR2', () => {
      signals += 1;
    });
    report('waiting');
    const waker = new addon.Waker();
    const ready = addon.wait([], waker.fd, 1000);
    while (signals === 0) await setImmediate();
    report({ ready });
    // Without the handler, which goes before the process does, a late signal would end it.
    setInterval(() => {}, 1000);
  },

  'list-own-links'() {
    report(dumpLinks(new addon.Socket(socketDefaults)).map(linkName));
  },

  /** Needs a low limit of open files. libnftables on its own would end the process. */
  'run-rules-without-descriptors'() {
    const namespace = addon.Namespace.create();
    const run = () =>
      addon.runNftables({ ...nftablesDefaults, namespace: namespace.fd, input: 'add table netdev t' });
    const taken: number[] = [];
    try {
      for (;;) taken.push(openSync('/dev/null', 'r'));
    } catch {
      // All are taken.
    }
    let code: unknown;
    try {
      run();
    } catch (error) {
      code = error instanceof Error && 'code' in error ? error.code : error;
    }
    for (const fd of taken) closeSync(fd);
    report({ code, status: run().status });
  },

  /** Needs --expose-gc. Each round forgets a hundred of each kind without a close(). */
  async 'forget-handles'() {
    const namespace = addon.Namespace.create();
    const forget = () => {
      for (let i = 0; i < 100; i += 1) {
        new addon.Socket({ ...socketDefaults, namespace: namespace.fd });
        new addon.Waker();
        new addon.Poller(-1);
        addon.Namespace.open(`/proc/self/fd/${namespace.fd}`);
      }
    };
    const collect = async () => {
      // Node runs the finalizers of native objects some turns of the event loop after the collection.
      for (let i = 0; i < 10; i += 1) {
        globalThis.gc?.();
        await setImmediate();
      }
      return openDescriptors();
    };
    const before = await collect();
    forget();
    const forgotten = openDescriptors();
    report({ before, forgotten, after: await collect() });
    namespace.close();
  },

  /** Ends with everything open. */
  'leave-handles-open'() {
    const open: unknown[] = [];
    for (let i = 0; i < 10; i += 1) {
      const namespace = addon.Namespace.create();
      open.push(namespace, new addon.Waker());
      open.push(
        new addon.Socket({ ...socketDefaults, protocol: NETLINK_NETFILTER, namespace: namespace.fd }),
      );
    }
    report({ open: open.length, descriptors: openDescriptors() });
  },

  /**
   * Loads rules about a device that only its own namespace has, many times, and reports what it reads back.
   * The library keeps the names of devices in a cache that all its users share.
   */
  'load-rules'() {
    const namespace = addon.Namespace.create();
    const socket = new addon.Socket({ ...socketDefaults, namespace: namespace.fd });
    createVeth(socket, workerData.name);
    const rules = `table netdev t { chain c { iif "${workerData.name}" drop\n}\n}\n`;
    const run = (input: string) => addon.runNftables({ ...nftablesDefaults, namespace: namespace.fd, input });
    const failures: string[] = [];
    // Both begin when the second is there.
    const arrived = new Int32Array(workerData.barrier);
    if (Atomics.add(arrived, 0, 1) === 0) Atomics.wait(arrived, 0, 1);
    else Atomics.notify(arrived, 0);
    for (let i = 0; i < 100; i += 1) {
      const { status, error } = run(`${rules}delete table netdev t`);
      if (status !== 0) failures.push(error);
    }
    run(rules);
    report({ failures, output: run('list ruleset').output });
    socket.close();
    namespace.close();
  },
};

const name: string = isMainThread ? (process.argv[2] ?? '') : workerData.program;
const program = programs[name];
if (program === undefined) throw new Error(`no such program: ${name}`);
await program();
