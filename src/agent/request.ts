import type { AssignedAddress } from '../config/configuration.js';
import type { DeviceState } from './device.js';
import type { EventError } from './event.js';

/** Which device is meant: all that is given must be so. */
export interface DeviceSelector {
  /** The link's name. */
  name?: string | undefined;
  /** The interface index. */
  index?: number | undefined;
  /** The MAC that the device was made with, small letters with colons. */
  mac?: string | undefined;
  /** The name of the link that it hangs on. */
  parent?: string | undefined;
}

/** What is told of one device of a VM. */
export interface ToldDevice extends DeviceSelector {
  /** What the policy's guards take for its MAC; unless given, the one it was made with. */
  assignedMac?: string | undefined;
  alias?: string | undefined;
  policy?: string | undefined;
  addresses?: readonly AssignedAddress[] | undefined;
}

/** What is asked of the agent's thread. Plain data. */
export type AgentRequest = DeviceRequest & {
  /**
   * The network namespace that is meant, as the configuration knows it; absent for the agent's own, and for all of them
   * where it is asked for all devices.
   */
  namespace?: string | undefined;
};

/** What is asked, but for where. */
export type DeviceRequest =
  | {
      request: 'admit';
      guest?: { name?: string | undefined; uuid?: string | undefined } | undefined;
      devices: readonly ToldDevice[];
      /** For how long what was told of a device that is not there is kept, in milliseconds. */
      expectMs: number;
      /** Whether a quarantine ends. */
      lift?: boolean | undefined;
      /** Whether devices of which something was told before are left alone. */
      onlyUntold?: boolean | undefined;
    }
  | { request: 'quarantine'; device: DeviceSelector; on: boolean }
  /** `untold`: only those of which nothing was told. */
  | { request: 'devices'; untold?: boolean | undefined };

/** How it stands with a device. */
export interface DeviceAnswer {
  /** Its network namespace, where the configuration lists any. */
  namespace?: string | undefined;
  /** Its name; of one that is not there, what it was asked for by. */
  device: string;
  index?: number | undefined;
  /** `absent`: there is no such device, or none that the configuration's prefixes cover. */
  state: DeviceState | 'absent';
  /** True when a policy is in force for it. */
  filtered: boolean;
  /** True when everything to and from it is dropped. */
  closed: boolean;
  policy?: string | undefined;
  mac?: string | undefined;
  guest?: string | undefined;
  uuid?: string | undefined;
  /** Why it is not filtered. */
  reason?: EventError | undefined;
}
