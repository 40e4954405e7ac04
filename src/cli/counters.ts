import { Command } from 'commander';
import type { Count } from '../agent/counters.js';
import type { DeviceStatus, DirectionCounts } from '../agent/status.js';
import { TapwallError } from '../error.js';
import { type AskOptions, addAskOptions } from './ask.js';
import { listThrough, namespaceCell, namespaceHead } from './list.js';
import { EXIT, print, printJson, printTable } from './output.js';

export function countersCommand(exit: (status: number) => void): Command {
  const command = new Command('counters')
    .description('show what each device sent and received, and what was dropped for which reason')
    .argument('[device...]', 'macvtap devices (default: all)')
    .addHelpText(
      'after',
      `
Reasons: a guard's name; policy (the policy's own rules, or its default); unmatched (nothing admits the
device); limit.broadcast, limit.packets, limit.bytes; file (the chains of an nft file).
Bytes from the VM include the Ethernet header, those to the VM begin behind it.

Examples:
  $ tapwall counters
  $ tapwall counters macvtap0 --json`,
    );
  return addAskOptions(command).action(async (names: string[], options: AskOptions) => {
    const { devices } = await listThrough(options);
    const chosen = choose(devices, names);
    if (options.json) for (const one of chosen) printJson({ event: 'counters', ...countersOf(one) });
    else if (chosen.length === 0) print('There is no macvtap device here.');
    else {
      printTable(
        [...namespaceHead(chosen), 'device', 'direction', 'verdict', 'reason', 'packets', 'bytes'],
        chosen.flatMap((one) => rows(one).map((row) => [...namespaceCell(one, chosen), ...row])),
      );
    }
    exit(EXIT.success);
  });
}

function choose(devices: readonly DeviceStatus[], names: readonly string[]): DeviceStatus[] {
  const missing = names.find((name) => !devices.some(({ device }) => device === name));
  if (missing !== undefined) {
    const known = devices.map(({ device }) => device);
    throw new TapwallError(
      'DEVICE_NOT_FOUND',
      `there is no macvtap device ${missing} in this network namespace`,
      {
        hint: known.length > 0 ? `There are ${known.join(', ')}.` : 'It has no macvtap device.',
      },
    );
  }
  return devices.filter(({ device }) => names.length === 0 || names.includes(device));
}

function countersOf({ namespace, device, index, policy, ingress, egress }: DeviceStatus) {
  return {
    ...(namespace === undefined ? {} : { namespace }),
    device,
    index,
    ...(policy === undefined ? {} : { policy }),
    ingress,
    egress,
  };
}

function rows(status: DeviceStatus): string[][] {
  return [...directionRows(status, 'ingress'), ...directionRows(status, 'egress')];
}

function directionRows(status: DeviceStatus, direction: 'ingress' | 'egress'): string[][] {
  const { admitted, dropped }: DirectionCounts = status[direction];
  const row = (verdict: string, reason: string, { packets, bytes }: Count) => [
    status.device,
    direction,
    verdict,
    reason,
    String(packets),
    String(bytes),
  ];
  return [
    row('passed', '', admitted),
    ...Object.entries(dropped).map(([reason, count]) => row('dropped', reason, count)),
  ];
}
