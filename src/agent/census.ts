import type { Placement } from '../config/configuration.js';
import type { Device, DeviceState } from './device.js';

/** How many devices have one state, policy and placement. */
export interface CensusLine {
  state: DeviceState;
  /** What they have, or should have; undefined where no binding matches. */
  policy: string | undefined;
  /** How hooks reach them: the plan's, or `device` for names that it does not hook in advance. */
  placement: Placement;
  devices: number;
}

/** Counts devices, without a text made for any: it stands between the loop and the next event. */
export function takeCensus(devices: Iterable<Device>, placement: Placement): CensusLine[] {
  const lines: CensusLine[] = [];
  const isInAdvance = placement === 'prefix' || placement === 'names';
  let last: CensusLine | undefined;
  for (const { state, policy, hooks } of devices) {
    const reached = isInAdvance && hooks.size > 0 ? 'device' : placement;
    const isSame = (line: CensusLine) =>
      line.state === state && line.policy === policy && line.placement === reached;
    // Devices that were made together mostly have the same.
    if (!last || !isSame(last)) {
      last = lines.find(isSame);
      if (!last) {
        last = { state, policy, placement: reached, devices: 0 };
        lines.push(last);
      }
    }
    last.devices++;
  }
  return lines;
}

/** Adds up what several loops have counted. */
export function joinCensuses(censuses: readonly (readonly CensusLine[])[]): CensusLine[] {
  const lines = new Map<string, CensusLine>();
  for (const line of censuses.flat()) {
    const key = `${line.state} ${line.placement} ${line.policy ?? ''}`;
    const known = lines.get(key);
    if (known) known.devices += line.devices;
    else lines.set(key, { ...line });
  }
  return [...lines.values()];
}
