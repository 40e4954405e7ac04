import { z } from 'zod';
import type { EventError } from '../agent/event.js';
import type { DeviceAnswer } from '../agent/request.js';
import type { DeviceStatus } from '../agent/status.js';
import { addressText, readAddress } from '../config/address.js';
import type { AssignedAddress, Placement } from '../config/configuration.js';
import { flawInInterfaceName } from '../config/interface-name.js';
import { normaliseMac } from '../config/mac-address.js';
import { TapwallError } from '../error.js';
import { HOOK_OPERATIONS, LARGEST_DOMAIN_BYTES } from '../libvirt/operation.js';

/** The version of the protocol. What is added to it leaves the number alone; what means something else raises it. */
export const PROTOCOL_VERSION = 1;

/** Bytes of one request, with its newline: the XML of a domain with all that can be in one. */
export const MOST_REQUEST_BYTES = 1 << 20;
/** Bytes of one answer that a client reads: the counters of a few ten thousand devices. */
export const MOST_ANSWER_BYTES = 64 << 20;
/** The longest a request waits for devices, in milliseconds. */
export const MOST_WAIT_MS = 60_000;
export const DEFAULT_WAIT_MS = 5_000;
/** Devices of one VM; more are told in several requests. */
export const MOST_DEVICES = 64;
const MOST_ADDRESSES = 32;
/** libvirt keeps a guest's definition in a file of its name. */
const MOST_GUEST_NAME = 255;
/** Events that the agent keeps for those who ask later. */
export const MOST_RECENT = 256;

function text(most: number): z.ZodString {
  return z
    .string()
    .min(1)
    .check(({ value, issues }) => {
      if (Buffer.byteLength(value) > most) refuse(issues, value, `more than ${most} bytes`);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
      else if (/[\u0000-\u001f\u007f]/.test(value)) refuse(issues, value, 'a control character');
    });
}

function refuse(issues: z.core.$ZodRawIssue[], input: string, message: string): void {
  issues.push({ code: 'custom', input, message });
}

const interfaceName = z.string().check(({ value, issues }) => {
  const flaw = flawInInterfaceName(value);
  if (flaw !== undefined) refuse(issues, value, `no interface can be called so: ${flaw}`);
});

const mac = z
  .string()
  .max(32)
  .transform((value, context) => {
    const address = normaliseMac(value);
    if (address !== undefined) return address;
    context.addIssue({ code: 'custom', message: 'not a MAC address' });
    return z.NEVER;
  });

const address = z
  .string()
  .max(64)
  .transform((value, context): AssignedAddress => {
    const read = readAddress(value);
    if (!('flaw' in read)) return read;
    context.addIssue({ code: 'custom', message: read.flaw });
    return z.NEVER;
  });

/** Interface indexes are positive and fit in 31 bits (dev_new_index() of net/core/dev.c). */
const index = z.int().min(1).max(0x7fffffff);

const uuid = z
  .string()
  .regex(/^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/, 'not a UUID')
  .transform((value) => value.toLowerCase());

const selector = {
  name: interfaceName.optional(),
  index: index.optional(),
  mac: mac.optional(),
  parent: interfaceName.optional(),
};

function names(one: { name?: unknown; index?: unknown; mac?: unknown }): boolean {
  return one.name !== undefined || one.index !== undefined || one.mac !== undefined;
}
const NAMED = 'a device is named by `name`, `index` or `mac`';

const toldDevice = z
  .strictObject({
    ...selector,
    assignedMac: mac.optional(),
    alias: text(255).optional(),
    policy: text(63).optional(),
    addresses: z.array(address).max(MOST_ADDRESSES).optional(),
  })
  .refine(names, NAMED);

const envelope = {
  version: z.int(),
  /** Comes back with the answer. */
  id: z.int().min(0).max(Number.MAX_SAFE_INTEGER),
  /**
   * Of an agent that serves several: the name or the path by which it knows one, or an inode number. Absent for all where
   * something is only read, else for the agent's own.
   */
  namespace: text(255).optional(),
};

const device = z.strictObject(selector).refine(names, NAMED);

export const requestSchema = z.discriminatedUnion('request', [
  z.strictObject({ ...envelope, request: z.literal('hello') }),
  z.strictObject({ ...envelope, request: z.literal('status') }),
  z.strictObject({ ...envelope, request: z.literal('list') }),
  z.strictObject({ ...envelope, request: z.literal('devices') }),
  z.strictObject({
    ...envelope,
    request: z.literal('counters'),
    devices: z.array(interfaceName).max(MOST_DEVICES).optional(),
  }),
  z.strictObject({
    ...envelope,
    request: z.literal('events'),
    /** How many of those that have been are told first. */
    recent: z.int().min(0).max(MOST_RECENT).optional(),
    /** Whether those that come are told, until the client is gone. Unless given, they are. */
    follow: z.boolean().optional(),
  }),
  z.strictObject({ ...envelope, request: z.literal('policy'), policy: text(63).optional() }),
  z.strictObject({ ...envelope, request: z.literal('reload') }),
  z.strictObject({ ...envelope, request: z.literal('release') }),
  z.strictObject({
    ...envelope,
    request: z.literal('admit'),
    guest: z.strictObject({ name: text(128).optional(), uuid: uuid.optional() }).optional(),
    devices: z.array(toldDevice).min(1).max(MOST_DEVICES),
    /** How long devices that are not there, or not yet filtered, are waited for. */
    waitMs: z.int().min(0).max(MOST_WAIT_MS).optional(),
    /** Whether a quarantine ends. */
    lift: z.boolean().optional(),
    /** Whether the policies come from a guest's own definition: only `domain-policies` are taken then. */
    fromDefinition: z.boolean().optional(),
  }),
  z.strictObject({
    ...envelope,
    request: z.literal('libvirt'),
    guest: z.string().max(MOST_GUEST_NAME),
    operation: z.enum(HOOK_OPERATIONS),
    /** The domain's XML. */
    domain: z.string().max(LARGEST_DOMAIN_BYTES),
    waitMs: z.int().min(0).max(MOST_WAIT_MS).optional(),
  }),
  z.strictObject({ ...envelope, request: z.literal('quarantine'), device }),
  z.strictObject({ ...envelope, request: z.literal('unquarantine'), device }),
]);

export type ControlRequest = z.output<typeof requestSchema>;
export type RequestName = ControlRequest['request'];

/** What a client says of itself in a request, before it is made into JSON. */
export type RequestBody =
  z.input<typeof requestSchema> extends infer One
    ? One extends unknown
      ? Omit<One, 'version' | 'id'>
      : never
    : never;

/** An error as the protocol carries it. */
export interface ControlError {
  code: string;
  message: string;
  hint?: string | undefined;
  problems?: unknown;
}

/** A line from the agent. `id` is null where the request could not be read. */
export type ControlMessage =
  | { version: number; id: number | null; ok: true; result: unknown }
  | { version: number; id: number | null; ok: false; error: ControlError }
  /** One of many that a request for events brings. */
  | { version: number; id: number; event: unknown };

export const messageSchema = z.union([
  z.object({ version: z.int(), id: z.int().nullable(), ok: z.literal(true), result: z.unknown() }),
  z.object({
    version: z.int(),
    id: z.int().nullable(),
    ok: z.literal(false),
    error: z.looseObject({ code: z.string(), message: z.string(), hint: z.string().optional() }),
  }),
  z.object({ version: z.int(), id: z.int(), event: z.unknown() }),
]);

/** Which agent it is. */
export interface HelloResult {
  /** tapwall's version, and those of the protocol that it speaks. */
  tapwall: string;
  versions: number[];
  pid: number;
  /** The inode number of the agent's own network namespace, as text, whether or not it is served. */
  home: string;
  /** The network namespaces that the agent serves, by inode number as text. */
  namespaces: { name: string | null; inode: string }[];
}

/** What an agent does. */
export interface StatusResult {
  tapwall: string;
  pid: number;
  /** Of the configuration. */
  file: string;
  placement: Placement;
  /** `own`: nobody else can change the tables; `lent`: released; `none`. */
  ownership: string;
  policies: number;
  bindings: number;
  /** How many devices are in each state. */
  devices: Record<string, number>;
  uptimeSeconds: number;
  clients: number;
  /** The network namespaces that are there, where the configuration lists any. */
  namespaces?: NamespaceResult[] | undefined;
}

/** How it stands with one network namespace. */
export interface NamespaceResult {
  name: string;
  /** As text. */
  inode: string;
  state: 'served' | 'failed';
  devices: number;
  /** Why it is not served. */
  error?: EventError | undefined;
}

/** What became of the devices of a request to admit. */
export interface AdmitResult {
  /** True when all of them are. */
  filtered: boolean;
  devices: DeviceAnswer[];
}

/** What the kernel holds. */
export interface ListResult {
  placement: Placement | null;
  devices: DeviceStatus[];
}

/**
 * Reads one line of a client's.
 * @throws ProtocolError with the request's id where there is one.
 */
export function readRequest(line: Uint8Array): ControlRequest {
  const value = readJson(line);
  const id = idOf(value);
  const version = (value as { version?: unknown } | null)?.version;
  if (typeof version === 'number' && version !== PROTOCOL_VERSION) {
    throw new ProtocolError(
      id,
      'PROTOCOL_VERSION',
      `this agent speaks version ${PROTOCOL_VERSION} of the protocol`,
    );
  }
  const result = requestSchema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const place = issue && issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ` : '';
  throw new ProtocolError(id, 'PROTOCOL', `not a request: ${place}${issue?.message ?? 'no sense'}`);
}

/** The same for a request to admit that comes by no socket. @throws ProtocolError */
export function parseAdmitRequest(
  body: Omit<RequestBody & { request: 'admit' }, 'request'>,
): ControlRequest & { request: 'admit' } {
  const line = JSON.stringify({ version: PROTOCOL_VERSION, id: 0, ...body, request: 'admit' });
  return readRequest(Buffer.from(line)) as ControlRequest & { request: 'admit' };
}

function readJson(line: Uint8Array): unknown {
  let words: string;
  try {
    words = new TextDecoder('utf-8', { fatal: true }).decode(line);
  } catch {
    throw new ProtocolError(null, 'PROTOCOL', 'not a request: it is not UTF-8');
  }
  try {
    return JSON.parse(words) as unknown;
  } catch {
    throw new ProtocolError(null, 'PROTOCOL', 'not a request: it is not JSON');
  }
}

function idOf(value: unknown): number | null {
  const id = typeof value === 'object' && value !== null ? (value as { id?: unknown }).id : null;
  return typeof id === 'number' && Number.isSafeInteger(id) && id >= 0 ? id : null;
}

/** A request that makes no sense. */
export class ProtocolError extends TapwallError {
  readonly id: number | null;

  constructor(id: number | null, code: 'PROTOCOL' | 'PROTOCOL_VERSION', message: string) {
    super(code, message, { hint: 'The protocol is described in docs/control.md.' });
    this.id = id;
  }
}

/** What the requests that tell addresses write. */
export function addressTexts(addresses: readonly AssignedAddress[]): string[] {
  return addresses.map(addressText);
}
