import type { Placement } from '../config/configuration.js';
import { TapwallError } from '../error.js';

/** Why a device lost its tables. */
export type DetachReason =
  /** The device is gone: deleted, or moved to another namespace. */
  | 'gone'
  /** No binding matches it any more. */
  | 'unbound'
  /** The agent stops and was asked to take its filters along. */
  | 'exit'
  /** Found at a start or after lost events: tables of a device that is not there. */
  | 'stale';

/** The device an event is about. */
export interface EventDevice {
  device: string;
  /** Interface index. */
  index: number;
}

/** An error as events carry it. */
export interface EventError {
  code: string;
  message: string;
  [detail: string]: unknown;
}

/**
 * What an agent tells. One JSON object a line under `--json`; times are in microseconds. `namespace` is what the
 * configuration knows the network namespace by, where it lists any: absent where only the agent's own is served.
 */
export type AgentEvent = Happening & { namespace?: string | undefined };

/** Each event, but for where it happened. */
export type Happening =
  | { event: 'ready'; devices: number; attached: number; placement: Placement; microseconds: number }
  | ({
      event: 'attached';
      policy: string;
      /** The kernel's names of the tables that the device has for itself: those of a policy that is a file. */
      tables: readonly string[];
      /** True when the device was admitted or had tables of tapwall before, which this replaced in one transaction. */
      replaced: boolean;
      /** True when the tables were there and up to date, and nothing was sent. */
      kept: boolean;
      /**
       * True when its hooks stood before it did, so that no frame passed it before it was admitted; false where each
       * device gets hooks of its own (`device`, `chain`), and under `names` for a name that `devices` does not list.
       */
      inAdvance: boolean;
      /** From the moment the agent woke to the kernel's acknowledgement of the commit. */
      microseconds: number;
    } & EventDevice)
  | ({
      event: 'detached';
      reason: DetachReason;
      tables: readonly string[];
      microseconds: number;
    } & EventDevice)
  | ({
      event: 'unmatched';
      /** True: everything to and from the device is dropped. */
      closed: boolean;
    } & EventDevice)
  /** Its door was closed on request; everything to and from it is dropped. */
  | ({ event: 'quarantined' } & EventDevice)
  | ({
      event: 'failed';
      policy: string;
      error: EventError;
      /** True when everything to and from the device is dropped instead. */
      closed: boolean;
    } & EventDevice)
  | {
      /** The devices of a network namespace have been dealt with, as `ready` says of all that were there. */
      event: 'namespace-ready';
      namespace: string;
      devices: number;
      attached: number;
      microseconds: number;
    }
  /** It has lost its name, or its path leads to another: it is not served any more. Its filters stay as they are. */
  | { event: 'namespace-gone'; namespace: string }
  /** It cannot be served, for which it is tried again; its filters are what they were. */
  | { event: 'namespace-failed'; namespace: string; error: EventError }
  | { event: 'overflow'; message: string }
  | {
      event: 'repaired';
      /** Who had changed tables of tapwall's, as the kernel told; empty where it could not say. */
      by: readonly { port: number; processId: number | undefined; processName: string | undefined }[];
      /** The tables; empty where what was found does not go back to any change that was told of. */
      tables: readonly string[];
      /** How many transactions it took. */
      transactions: number;
      /** From the moment the agent woke until all was as it should be. */
      microseconds: number;
    }
  | { event: 'released' }
  | { event: 'warning'; message: string }
  | { event: 'reloaded'; file: string; policies: number; bindings: number; microseconds: number }
  | { event: 'reload-failed'; file: string; error: EventError }
  | { event: 'stopped'; detached: number };

export function eventError(error: unknown): EventError {
  if (error instanceof TapwallError) return error.toJSON() as EventError;
  return { code: 'UNKNOWN', message: error instanceof Error ? error.message : String(error) };
}

/** The same, as an error again. */
export function asError({ code, message, hint }: EventError): TapwallError {
  return new TapwallError(code, message, typeof hint === 'string' ? { hint } : {});
}
