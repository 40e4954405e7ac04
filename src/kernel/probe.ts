import { findLink } from '../links/query.js';
import { newLink } from '../links/request.js';
import { NETLINK_NETFILTER, NETLINK_ROUTE, NLM_F_CREATE } from '../netlink/constants.js';
import { isKernelError, isPassing } from '../netlink/error.js';
import { encodeBatch, type Operation } from '../nftables/batch.js';
import { chainSchema, type HookDevice } from '../nftables/chain.js';
import {
  NF_ACCEPT,
  NF_NETDEV_EGRESS,
  NF_NETDEV_INGRESS,
  NFT_MSG_DESTROYTABLE,
  NFT_MSG_GETCHAIN,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWTABLE,
  NFT_TABLE_F_OWNER,
  NFT_TABLE_F_PERSIST,
} from '../nftables/constants.js';
import { dumpRequest, nftablesRequest } from '../nftables/message.js';
import { parseRuleset } from '../nftables/ruleset.js';
import { tableSchema } from '../nftables/table.js';
import type { Kernel, NamespaceHandle } from './kernel.js';
import type { NetlinkSocket } from './socket.js';

/** What the running kernel can do, each found out by doing it in a scratch namespace, never by its version. */
export interface KernelCapabilities {
  /** netdev chains can hook ingress (4.2). */
  ingress: boolean;
  /** netdev chains can hook egress (5.16). */
  egress: boolean;
  /** A device can be added to a base chain that exists (6.4). */
  addDevice: boolean;
  /** A base chain can name a device that does not exist yet (6.16). */
  namesInAdvance: boolean;
  /** A base chain can hook every device whose name begins so (6.17). */
  prefix: boolean;
  /** A table can be owned by a socket and outlive it (6.9). */
  ownerPersist: boolean;
  /** A table can be deleted without an error when it is not there (6.3). */
  destroy: boolean;
  /** macvtap devices can be made. */
  macvtap: boolean;
}

const TABLE = 'probe';
const CHAIN = 'probe';
const DEVICE = 'probe0';
const SECOND_DEVICE = 'probe1';

function table(flags?: number): Operation {
  const attributes = tableSchema.encode(flags === undefined ? { name: TABLE } : { name: TABLE, flags });
  return { request: nftablesRequest(NFT_MSG_NEWTABLE, NLM_F_CREATE, attributes), label: 'NEWTABLE' };
}

function chain(number: number, devices: HookDevice[], base = true): Operation {
  const attributes = chainSchema.encode({
    table: TABLE,
    name: CHAIN,
    hook: { number, priority: 0, devices },
    ...(base ? { type: 'filter', policy: NF_ACCEPT } : {}),
  });
  return { request: nftablesRequest(NFT_MSG_NEWCHAIN, NLM_F_CREATE, attributes), label: 'NEWCHAIN' };
}

/** One namespace for each probe: what one leaves behind must not help the next. */
class Probe {
  readonly namespace: NamespaceHandle;
  readonly route: NetlinkSocket;
  readonly netfilter: NetlinkSocket;

  constructor(kernel: Kernel) {
    this.namespace = kernel.createNamespace();
    this.route = kernel.openSocket({ protocol: NETLINK_ROUTE, namespace: this.namespace });
    this.netfilter = kernel.openSocket({ protocol: NETLINK_NETFILTER, namespace: this.namespace });
  }

  commit(operations: Operation[]): void {
    this.netfilter.commitWith(operations.length + 2, (sequence) => encodeBatch(operations, sequence));
  }

  addDevices(): void {
    const peer = { name: SECOND_DEVICE };
    this.route.request(newLink({ name: DEVICE, kind: 'veth', peer }), 'RTM_NEWLINK');
  }

  close(): void {
    this.netfilter.close();
    this.route.close();
    this.namespace.close();
  }
}

function works(kernel: Kernel, attempt: (probe: Probe) => boolean | undefined): boolean {
  const probe = new Probe(kernel);
  try {
    return attempt(probe) !== false;
  } catch (error) {
    // A missing permission is not a missing feature, nor is missing memory: less would be filtered for good.
    if (!isKernelError(error) || isKernelError(error, 'EPERM', 'EACCES') || isPassing(error)) throw error;
    return false;
  } finally {
    probe.close();
  }
}

/** The hook devices the kernel says a chain has: 6.16 takes a prefix for a name and older kernels ignore it. */
function hookedDevices(probe: Probe): HookDevice[] {
  const { chains } = parseRuleset(
    probe.netfilter.dump(dumpRequest(NFT_MSG_GETCHAIN), 'the dump of the chains'),
  );
  return chains[0]?.hook?.devices ?? [];
}

function canHook(kernel: Kernel, number: number): boolean {
  return works(kernel, (probe) => {
    probe.addDevices();
    probe.commit([table(), chain(number, [{ name: DEVICE }])]);
    return undefined;
  });
}

/**
 * Whether netdev chains can hook egress: all that compiling and attaching depend on.
 * @throws KernelError EPERM as {@link probeKernel}.
 */
export function probeEgress(kernel: Kernel): boolean {
  return canHook(kernel, NF_NETDEV_EGRESS);
}

/**
 * Tries each feature in throw-away namespaces.
 * @throws KernelError EPERM without the right to make network namespaces or to use nf_tables in one, and others when a
 *   system call fails: that says nothing of a feature.
 */
export function probeKernel(kernel: Kernel): KernelCapabilities {
  return {
    ingress: canHook(kernel, NF_NETDEV_INGRESS),
    egress: probeEgress(kernel),
    addDevice: works(kernel, (probe) => {
      probe.addDevices();
      probe.commit([table(), chain(NF_NETDEV_INGRESS, [{ name: DEVICE }])]);
      probe.commit([chain(NF_NETDEV_INGRESS, [{ name: SECOND_DEVICE }], false)]);
      return hookedDevices(probe).length === 2;
    }),
    namesInAdvance: works(kernel, (probe) => {
      probe.commit([table(), chain(NF_NETDEV_INGRESS, [{ name: DEVICE }])]);
      return undefined;
    }),
    prefix: works(kernel, (probe) => {
      probe.commit([table(), chain(NF_NETDEV_INGRESS, [{ prefix: DEVICE }])]);
      return hookedDevices(probe).some((device) => 'prefix' in device && device.prefix === DEVICE);
    }),
    ownerPersist: works(kernel, (probe) => {
      probe.commit([table(NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST)]);
      return undefined;
    }),
    destroy: works(kernel, (probe) => {
      const attributes = tableSchema.encode({ name: TABLE });
      probe.commit([
        { request: nftablesRequest(NFT_MSG_DESTROYTABLE, 0, attributes), label: 'DESTROYTABLE' },
      ]);
      return undefined;
    }),
    macvtap: works(kernel, (probe) => {
      probe.addDevices();
      const parent = findLink(probe.route, { name: DEVICE });
      if (!parent) return false;
      const macvtap = newLink({ name: 'probe2', kind: 'macvtap', parentIndex: parent.index });
      probe.route.request(macvtap, 'RTM_NEWLINK macvtap');
      return undefined;
    }),
  };
}
