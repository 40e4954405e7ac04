/**
 * What the tests of the addon share. Messages are built and read by hand here, not with src/netlink: the
 * addon is tested on its own, and a mistake shared by both sides would not be seen.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { endianness } from 'node:os';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { loadAddon } from '#src/kernel/addon.js';
import type {
  NativeNamespace,
  NativeNftablesOptions,
  NativeSocket,
  NativeSocketOptions,
} from '#src/kernel/native.js';

export const addon = loadAddon();

// linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/netfilter/nfnetlink.h,
// linux/netfilter/nf_tables.h
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;
export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTNLGRP_LINK = 1;
const NLA_F_NESTED = 0x8000;
const IFLA_IFNAME = 3;
export const IFLA_LINKINFO = 18;
export const IFLA_INFO_KIND = 1;

const little = endianness() === 'LE';

export function u8(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

/** Host byte order, as everything in a netlink header. */
export function u16(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  new DataView(bytes.buffer).setUint16(0, value, little);
  return bytes;
}

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, little);
  return bytes;
}

/** Network byte order, as the numbers in nf_tables attributes. */
export function be32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, false);
  return bytes;
}

export function text(value: string): Uint8Array {
  return Buffer.from(`${value}\0`);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export function attribute(type: number, ...payload: Uint8Array[]): Uint8Array {
  const body = concat(payload);
  return concat([u16(4 + body.length), u16(type), body, new Uint8Array(-body.length & 3)]);
}

export function nested(type: number, ...attributes: Uint8Array[]): Uint8Array {
  return attribute(type | NLA_F_NESTED, ...attributes);
}

export function message(type: number, flags: number, sequence: number, ...payload: Uint8Array[]): Uint8Array {
  const body = concat(payload);
  return concat([u32(16 + body.length), u16(type), u16(flags), u32(sequence), u32(0), body]);
}

/** struct ifinfomsg */
export function ifinfo(index = 0, change = 0): Uint8Array {
  return concat([u8(0, 0), u16(0), u32(index), u32(0), u32(change)]);
}

/** An nf_tables message (NFNL_SUBSYS_NFTABLES is 10) of the netdev family, with its struct nfgenmsg. */
export function nftMessage(
  type: number,
  flags: number,
  sequence: number,
  ...attributes: Uint8Array[]
): Uint8Array {
  const NFPROTO_NETDEV = 5;
  return message(
    (10 << 8) | type,
    NLM_F_REQUEST | flags,
    sequence,
    u8(NFPROTO_NETDEV, 0, 0, 0),
    ...attributes,
  );
}

/** Messages between NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END, which is how nf_tables takes changes. */
export function nftBatch(...messages: Uint8Array[]): Uint8Array {
  const header = u8(0, 0, 0, 10);
  return concat([message(16, NLM_F_REQUEST, 0, header), ...messages, message(17, NLM_F_REQUEST, 0, header)]);
}

export interface Message {
  type: number;
  flags: number;
  sequence: number;
  portId: number;
  payload: Uint8Array;
}

export function messages(bytes: Uint8Array): Message[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: Message[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = view.getUint32(at, little);
    if (length < 16 || at + length > bytes.length)
      throw new Error(`malformed message at ${at} of ${bytes.length}`);
    found.push({
      type: view.getUint16(at + 4, little),
      flags: view.getUint16(at + 6, little),
      sequence: view.getUint32(at + 8, little),
      portId: view.getUint32(at + 12, little),
      payload: bytes.subarray(at + 16, at + length),
    });
    at += (length + 3) & ~3;
  }
  return found;
}

/** The payloads of the attributes that follow a fixed header of `offset` bytes. */
export function attributes(payload: Uint8Array, offset: number): Map<number, Uint8Array> {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const found = new Map<number, Uint8Array>();
  for (let at = offset; at + 4 <= payload.length; ) {
    const length = view.getUint16(at, little);
    if (length < 4) throw new Error(`malformed attribute at ${at}`);
    found.set(view.getUint16(at + 2, little) & 0x3fff, payload.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

/** The error number of an acknowledgement, 0 for success. */
export function errorNumber(acknowledgement: Message | undefined): number {
  if (acknowledgement?.type !== NLMSG_ERROR)
    throw new Error(`not an acknowledgement: ${acknowledgement?.type}`);
  const { buffer, byteOffset, byteLength } = acknowledgement.payload;
  return 0 - new DataView(buffer, byteOffset, byteLength).getInt32(0, little);
}

export function linkName(link: Message): string {
  const name = attributes(link.payload, 16).get(IFLA_IFNAME);
  return Buffer.from(name ?? [])
    .toString('latin1')
    .replace(/\0.*$/s, '');
}

export function linkIndex(link: Message): number {
  const { buffer, byteOffset, byteLength } = link.payload;
  return new DataView(buffer, byteOffset, byteLength).getInt32(4, little);
}

/** A namespace for one test. */
export function scratchNamespace(t: TestContext): NativeNamespace {
  const namespace = addon.Namespace.create();
  t.after(() => namespace.close());
  return namespace;
}

export function openSocket(
  t: TestContext,
  namespace: NativeNamespace,
  options: Partial<NativeSocketOptions> = {},
): NativeSocket {
  const socket = new addon.Socket({ ...socketDefaults, namespace: namespace.fd, ...options });
  t.after(() => socket.close());
  return socket;
}

export const socketDefaults: NativeSocketOptions = {
  protocol: NETLINK_ROUTE,
  namespace: -1,
  receiveBuffer: 0,
  groups: [],
  filter: null,
  strict: false,
};

export const nftablesDefaults: NativeNftablesOptions = {
  namespace: -1,
  input: null,
  file: null,
  variables: [],
  includePaths: [],
  json: false,
  dryRun: false,
  outputFlags: 0,
};

/** Makes a veth pair; the kernel chooses the peer's name. */
export function createVeth(socket: NativeSocket, name: string): void {
  const kind = nested(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, text('veth')));
  const flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  const request = message(RTM_NEWLINK, flags, 1, ifinfo(), attribute(IFLA_IFNAME, text(name)), kind);
  const failure = errorNumber(messages(socket.transact(request)).find(({ type }) => type === NLMSG_ERROR));
  if (failure !== 0) throw new Error(`cannot create ${name}: errno ${failure}`);
}

export function deleteLink(socket: NativeSocket, name: string): void {
  const request = message(
    RTM_DELLINK,
    NLM_F_REQUEST | NLM_F_ACK,
    1,
    ifinfo(),
    attribute(IFLA_IFNAME, text(name)),
  );
  const failure = errorNumber(messages(socket.transact(request)).find(({ type }) => type === NLMSG_ERROR));
  if (failure !== 0) throw new Error(`cannot delete ${name}: errno ${failure}`);
}

export function dumpLinks(socket: NativeSocket): Message[] {
  const request = message(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 7, ifinfo());
  return messages(socket.dump(request, 5000)).filter(({ type }) => type === RTM_NEWLINK);
}

/** Every datagram that is queued, as messages. */
export function drain(socket: NativeSocket): Message[] {
  const all: Message[] = [];
  for (let datagram = socket.receive(); datagram !== undefined; datagram = socket.receive()) {
    all.push(...messages(datagram));
  }
  return all;
}

/**
 * The environment for programs that do not load the addon: under scripts/asan.sh they would inherit the
 * sanitizers, which find fault with many of them.
 */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const { LD_PRELOAD: _, ...environment } = process.env;
  return environment;
}

export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** A file name by which other processes reach a namespace. */
export function pathOf(namespace: NativeNamespace): string {
  return `/proc/${process.pid}/fd/${namespace.fd}`;
}

const programs = new URL('./programs.js', import.meta.url);

/** A worker that runs one of the programs in programs.ts. */
export function startWorker(program: string, data: Record<string, unknown> = {}): Worker {
  return new Worker(programs, { workerData: { ...data, program } });
}

/** The first thing a worker posts; its failure is the test's. */
export async function nextMessage(worker: Worker): Promise<unknown> {
  const [value] = await once(worker, 'message');
  return value;
}

export interface ChildResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** A process of its own for one of the programs in programs.ts, to be watched as it runs. */
export function startChild(
  program: string,
  { flags = [], under = [] }: { flags?: string[]; under?: string[] } = {},
): { child: ChildProcess; result: Promise<ChildResult> } {
  const command = [...under, process.execPath, ...flags, fileURLToPath(programs), program];
  const child = spawn(command[0] as string, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  const result = once(child, 'close').then(([code, signal]) => ({ code, signal, stdout, stderr }));
  return { child, result };
}

export function runChild(
  program: string,
  options?: { flags?: string[]; under?: string[] },
): Promise<ChildResult> {
  return startChild(program, options).result;
}
