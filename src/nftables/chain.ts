import { TapwallError } from '../error.js';
import { leaf, parseAttributes, readText } from '../netlink/attribute.js';
import { cString } from '../netlink/bytes.js';
import {
  be32Field,
  be64Field,
  bytesField,
  type Field,
  nestedField,
  schema,
  textField,
  type WithOther,
} from '../netlink/schema.js';
import {
  NFTA_CHAIN_COUNTERS,
  NFTA_CHAIN_FLAGS,
  NFTA_CHAIN_HANDLE,
  NFTA_CHAIN_HOOK,
  NFTA_CHAIN_ID,
  NFTA_CHAIN_NAME,
  NFTA_CHAIN_POLICY,
  NFTA_CHAIN_TABLE,
  NFTA_CHAIN_TYPE,
  NFTA_CHAIN_USE,
  NFTA_CHAIN_USERDATA,
  NFTA_DEVICE_NAME,
  NFTA_DEVICE_PREFIX,
  NFTA_HOOK_DEV,
  NFTA_HOOK_DEVS,
  NFTA_HOOK_HOOKNUM,
  NFTA_HOOK_PRIORITY,
} from './constants.js';

/** A device a netdev hook stands on: by its exact name, or every one whose name starts so (6.17). */
export type HookDevice = { name: string } | { prefix: string };

/** Where a base chain is hooked. A netdev hook has `device`, `devices` or, in the kernel's dumps, both. */
export interface Hook extends WithOther {
  /** NF_NETDEV_INGRESS or NF_NETDEV_EGRESS in the netdev family. */
  number: number;
  /** Lower runs earlier; signed. */
  priority: number;
  devices?: HookDevice[];
  device?: string;
}

export interface Chain extends WithOther {
  table: string;
  handle?: bigint;
  name?: string;
  hook?: Hook;
  /** NF_DROP or NF_ACCEPT; only base chains have one. */
  policy?: number;
  type?: string;
  /** NFT_CHAIN_*. */
  flags?: number;
  /** Packets and bytes of the chain itself (struct nft_counter attributes), carried as they are. */
  counters?: Uint8Array;
  use?: number;
  id?: number;
  userdata?: Uint8Array;
}

const signed32Field = (type: number): Field<number> => {
  const unsigned = be32Field(type);
  return {
    type,
    parse: (attribute) => unsigned.parse(attribute) | 0,
    encode: (value) => unsigned.encode(value >>> 0),
  };
};

const hookDevicesField: Field<HookDevice[]> = {
  type: NFTA_HOOK_DEVS,
  parse: (attribute) =>
    parseAttributes(attribute.value).map((entry) => {
      switch (entry.type) {
        case NFTA_DEVICE_NAME:
          return { name: readText(entry) };
        case NFTA_DEVICE_PREFIX:
          return { prefix: readText(entry) };
        default:
          throw new TapwallError(
            'MALFORMED_MESSAGE',
            `malformed hook: device attribute ${entry.type} is unknown`,
          );
      }
    }),
  encode: (devices) => ({
    type: NFTA_HOOK_DEVS,
    flags: 0,
    nested: devices.map((device) =>
      'name' in device
        ? leaf(NFTA_DEVICE_NAME, cString(device.name))
        : leaf(NFTA_DEVICE_PREFIX, cString(device.prefix)),
    ),
  }),
};

export const hookSchema = schema<Hook>(
  'hook',
  {
    number: be32Field(NFTA_HOOK_HOOKNUM),
    priority: signed32Field(NFTA_HOOK_PRIORITY),
    devices: hookDevicesField,
    device: textField(NFTA_HOOK_DEV),
  },
  ['number', 'priority'],
);

export const chainSchema = schema<Chain>(
  'chain',
  {
    table: textField(NFTA_CHAIN_TABLE),
    name: textField(NFTA_CHAIN_NAME),
    handle: be64Field(NFTA_CHAIN_HANDLE),
    hook: nestedField(NFTA_CHAIN_HOOK, hookSchema),
    policy: be32Field(NFTA_CHAIN_POLICY),
    type: textField(NFTA_CHAIN_TYPE),
    counters: bytesField(NFTA_CHAIN_COUNTERS),
    flags: be32Field(NFTA_CHAIN_FLAGS),
    use: be32Field(NFTA_CHAIN_USE),
    id: be32Field(NFTA_CHAIN_ID),
    userdata: bytesField(NFTA_CHAIN_USERDATA),
  },
  ['table'],
);

/** The devices a hook stands on, whichever form it came in. */
export function hookDevices(hook: Hook): HookDevice[] {
  if (hook.devices) return hook.devices;
  return hook.device === undefined ? [] : [{ name: hook.device }];
}
