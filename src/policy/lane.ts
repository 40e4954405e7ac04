import { type Direction, INDEX } from './guard.js';
import type { PlainMembership } from './membership.js';

/**
 * Up to so many policies are found by sets of their devices, asked one after the other: some 45 ns for each
 * that stands before, and no mark has to be set and taken away, which takes 120. With more of them a mark is faster.
 */
export const MOST_LANES = 4;

/** By what a frame finds its policy at once. What it does not find so, it finds by the policy's mark, or not at all. */
export interface Lane extends PlainMembership {
  /** The type of the set, as nft writes it. */
  type: string;
  comment: string;
  /** What of a frame is looked up. */
  key: string;
}

export interface LaneOptions {
  /**
   * Whether the policy has the guard `mac`: one lookup finds the policy and compares the MAC. A frame with another MAC
   * goes by the mark, which has it dropped.
   */
  checksMac: boolean;
  /** The size of the set. */
  mostDevices: number;
}

export function laneOf(policy: string, direction: Direction, { checksMac, mostDevices }: LaneOptions): Lane {
  if (direction === 'egress' && checksMac) {
    const set = `policy.${policy}.macs`;
    return {
      set,
      withMac: true,
      type: `type iface_index . ether_addr; size ${mostDevices}`,
      comment: `the devices of policy ${policy}, and the MAC of each VM`,
      key: 'oif . ether saddr',
    };
  }
  const set = `policy.${policy}.devices`;
  return {
    set,
    type: `type iface_index; size ${mostDevices}`,
    comment: `the devices of policy ${policy}`,
    key: INDEX[direction],
  };
}
