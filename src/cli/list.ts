import { Command } from 'commander';
import { isClosedInAdvance, PROMISES } from '../agent/placement.js';
import { type DeviceStatus, type DirectionCounts, type Status, statusIn } from '../agent/status.js';
import { listTables } from '../compiler/table-listing.js';
import { type AskOptions, addAskOptions, askAgent } from './ask.js';
import { inNamespace } from './options.js';
import { EXIT, print, printJson, printTable } from './output.js';

interface Options extends AskOptions {
  nft?: boolean;
}

export function listCommand(exit: (status: number) => void): Command {
  const command = new Command('list')
    .description('show each macvtap device and what filters it, as the kernel has it now')
    .option('--nft', "print tapwall's tables as nft list would, without nft")
    .addHelpText(
      'after',
      `
States: attached; closed (nothing admits it: everything is dropped); unfiltered (no hook of tapwall's stands
on it); renamed (its own tables hook the name it had); stale (what a device that is gone has left). The policy
(accept) is that of unmatched: accept. Numbers are frames; tapwall counters has the reasons.

Examples:
  $ tapwall list
  $ tapwall list --json | jq -r 'select(.state == "unfiltered").device'
  $ tapwall list --nft`,
    );
  return addAskOptions(command).action(async (options: Options) => {
    if (options.nft) {
      print((await inNamespace(options.namespace, listTables)).trimEnd());
    } else {
      printStatus(await listThrough(options), options.json === true);
    }
    exit(EXIT.success);
  });
}

/** What the kernel holds: by an agent's eyes where one runs, which spares those who may ask it being root. */
export function listThrough(options: AskOptions): Promise<Status> {
  return askAgent(
    options,
    async (client) => {
      const { placement, devices } = await client.list();
      return { placement: placement ?? undefined, devices };
    },
    () => inNamespace(options.namespace, statusIn),
  );
}

function printStatus({ placement, devices }: Status, json: boolean): void {
  if (json) {
    if (placement) printJson({ event: 'door', placement, promise: PROMISES[placement] });
    for (const status of devices) printJson({ event: 'device', ...status });
    return;
  }
  print(
    placement
      ? `placement ${placement}: a device is ${PROMISES[placement]}`
      : 'no door of tapwall stands here',
  );
  const late = devices
    .filter(({ state, inAdvance }) => !inAdvance && state !== 'stale')
    .map(({ device }) => device);
  if (placement && isClosedInAdvance(placement) && late.length > 0) {
    print(
      `no hook waits for the name of ${late.join(', ')}: open until the agent sees it; devices in the configuration says which names`,
    );
  }
  if (devices.length === 0) print('There is no macvtap device here, and nothing that one left.');
  else printDevices(devices);
}

function printDevices(devices: readonly DeviceStatus[]): void {
  printTable(
    [
      ...namespaceHead(devices),
      'device',
      'index',
      'state',
      'policy',
      'by',
      'mac',
      'in: passed/dropped',
      'out: passed/dropped',
      'own tables',
    ],
    devices.map((status) => [
      ...namespaceCell(status, devices),
      status.device,
      String(status.index),
      status.state,
      status.policy ?? '-',
      status.origin ?? '-',
      status.mac ?? '-',
      packets(status.ingress),
      packets(status.egress),
      status.tables.join('\n') || '-',
    ]),
  );
}

/** A column for the network namespace, where the agent that was asked serves several. */
export function namespaceHead(devices: readonly DeviceStatus[]): string[] {
  return devices.some(({ namespace }) => namespace !== undefined) ? ['namespace'] : [];
}

export function namespaceCell({ namespace = '-' }: DeviceStatus, devices: readonly DeviceStatus[]): string[] {
  return namespaceHead(devices).map(() => namespace);
}

function packets({ admitted, dropped }: DirectionCounts): string {
  const lost = Object.values(dropped).reduce((sum, count) => sum + count.packets, 0);
  return `${admitted.packets} / ${lost}`;
}
