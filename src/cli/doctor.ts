import { Command } from 'commander';
import { choosePlacement, listingOutcome, PROMISES } from '../agent/placement.js';
import { probeAnywhere } from '../compiler/kernel-probe.js';
import type { Placement } from '../config/configuration.js';
import { measureWindow, type OpenWindow } from '../demo/window.js';
import { TapwallError } from '../error.js';
import { loadAddon } from '../kernel/addon.js';
import { linuxKernel } from '../kernel/linux.js';
import { canMakeNamespaces, type Privileges, readPrivileges } from '../kernel/privilege.js';
import type { KernelCapabilities } from '../kernel/probe.js';
import { EXIT, print, printJson, printTable } from './output.js';

/** One thing that was tried. */
interface Finding {
  feature: string;
  ok: boolean;
  /** What is lost where it is missing. */
  consequence: string;
  /** Without it tapwall cannot do its main job. */
  required: boolean;
}

const FEATURES: { key: keyof KernelCapabilities; feature: string; consequence: string; required: boolean }[] =
  [
    {
      key: 'ingress',
      feature: 'netdev ingress hook (Linux 4.2)',
      consequence: 'nothing can be filtered',
      required: true,
    },
    {
      key: 'egress',
      feature: 'netdev egress hook (Linux 5.16)',
      consequence:
        'traffic FROM VMs cannot be filtered, of which every start warns unless the configuration says egress: optional',
      required: false,
    },
    {
      key: 'macvtap',
      feature: 'macvtap devices',
      consequence: 'there is nothing to filter, and the demonstration cannot run',
      required: true,
    },
    {
      key: 'addDevice',
      feature: 'devices added to a base chain that exists (Linux 6.4)',
      consequence: 'a base chain per device is the only way',
      required: false,
    },
    {
      key: 'namesInAdvance',
      feature: 'base chains on names that do not exist yet (Linux 6.16)',
      consequence: 'a device is open from its creation until its event is handled',
      required: false,
    },
    {
      key: 'prefix',
      feature: 'base chains on a name prefix (Linux 6.17)',
      consequence: 'names must be listed one by one to be closed in advance',
      required: false,
    },
    {
      key: 'ownerPersist',
      feature: 'tables that are owned and outlive their owner (Linux 6.9)',
      consequence: "another program's flush ruleset removes the filters",
      required: false,
    },
    {
      key: 'destroy',
      feature: 'deletion that is no error when there is nothing (Linux 6.3)',
      consequence: 'nothing: a table is made and deleted in one transaction instead',
      required: false,
    },
  ];

export function doctorCommand(exit: (status: number) => void): Command {
  return new Command('doctor')
    .description('try what this kernel and these libraries can do, in namespaces that are thrown away')
    .option('--json', 'print JSON, one object a line')
    .addHelpText(
      'after',
      '\nExit status 1 when something is missing that tapwall cannot do without.\n\nExamples:\n  $ tapwall doctor\n  $ tapwall doctor --json',
    )
    .action(async (options: { json?: boolean }) => exit(await doctor(options.json === true)));
}

async function doctor(json: boolean): Promise<number> {
  const { libmnl, libnftables } = loadAddon().versions();
  const privileges = readPrivileges();
  const capabilities = await probe();
  const findings = [
    ...privilegeFindings(privileges),
    ...kernelFindings(capabilities),
    await listingFinding(),
  ];
  const placement = await placementHere(capabilities);
  const window = placement && (await windowHere(capabilities));
  if (json) {
    printJson({ event: 'versions', node: process.version, libmnl, libnftables });
    printJson({ event: 'privileges', user: process.geteuid?.(), ...privileges });
    for (const finding of findings) printJson({ event: 'finding', ...finding });
    if (placement) printJson({ event: 'placement', placement, promise: PROMISES[placement] });
    if (window) printJson({ event: 'window', ...window });
  } else {
    print(`Node ${process.version}, libmnl ${libmnl}, libnftables ${libnftables}`);
    print(privilegeMessage(privileges));
    printTable(
      ['feature', 'here', 'what is lost'],
      findings.map(({ feature, ok, consequence }) => [feature, ok ? 'yes' : 'NO', ok ? '' : consequence]),
    );
    if (placement) print(`placement auto is ${placement} here: a device is ${PROMISES[placement]}`);
    if (window) print(windowMessage(window));
  }
  return findings.some(({ ok, required }) => required && !ok) ? EXIT.failure : EXIT.success;
}

/** Capabilities that the agent uses, and what it does without them. */
function privilegeFindings({ capabilities }: Privileges): Finding[] {
  return [
    {
      feature: 'CAP_NET_ADMIN',
      ok: capabilities.includes('CAP_NET_ADMIN'),
      consequence: 'no device can be filtered or looked at; check and compile work all the same',
      required: true,
    },
    {
      feature: 'CAP_SYS_ADMIN',
      ok: capabilities.includes('CAP_SYS_ADMIN'),
      consequence:
        'no --namespace, and no other network namespace can be served; policies are compiled in a user namespace, which has to be allowed; what others changed while ' +
        'no agent ran is found where it shows in a digest; the first VM waits some milliseconds longer',
      required: false,
    },
    {
      feature: 'CAP_CHOWN',
      ok: capabilities.includes('CAP_CHOWN'),
      consequence: 'no control socket for a group that this user is no member of (control: { group: … })',
      required: false,
    },
  ];
}

function privilegeMessage({ capabilities, noNewPrivileges }: Privileges): string {
  const used = ['CAP_CHOWN', 'CAP_NET_ADMIN', 'CAP_SYS_ADMIN'];
  const unused = capabilities.filter((name) => !used.includes(name)).length;
  return (
    `this process: user ${process.geteuid?.()}, ${unused === 0 ? 'no' : unused} capabilities that filtering does not need, ` +
    `${noNewPrivileges ? 'cannot' : 'can'} get more by starting programs`
  );
}

/** What the kernel can do, or why that could not be tried. */
async function probe(): Promise<KernelCapabilities | { reason: string }> {
  try {
    return await probeAnywhere(linuxKernel());
  } catch (error) {
    if (!(error instanceof TapwallError) && !isPermission(error)) throw error;
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

function kernelFindings(capabilities: Awaited<ReturnType<typeof probe>>): Finding[] {
  if (!('reason' in capabilities)) {
    return FEATURES.map(({ key, ...finding }) => ({ ...finding, ok: capabilities[key] }));
  }
  const { reason } = capabilities;
  return [
    {
      feature: 'network namespaces and nf_tables in them',
      ok: false,
      consequence: `nothing can be tried or filtered (${reason}); run as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN, or allow user namespaces`,
      required: true,
    },
  ];
}

/** The placement that a configuration gets which asks for none. */
async function placementHere(
  capabilities: Awaited<ReturnType<typeof probe>>,
): Promise<Placement | undefined> {
  if ('reason' in capabilities || !capabilities.ingress) return undefined;
  const listsPrefixes = (await listingOutcome()) === 'listed';
  return choosePlacement('auto', { ...capabilities, listsPrefixes });
}

/** How long a device is open that no hook awaits: under `device` and `chain` every one. */
async function windowHere(capabilities: Awaited<ReturnType<typeof probe>>): Promise<OpenWindow | undefined> {
  if ('reason' in capabilities || !capabilities.macvtap || !canMakeNamespaces()) return undefined;
  return await measureWindow(linuxKernel(), capabilities.addDevice ? 'device' : 'chain');
}

function windowMessage({ placement, n, p50Microseconds, maxMicroseconds }: OpenWindow): string {
  return (
    `a device that no hook awaits is open for ${p50Microseconds} µs here (placement ${placement}, median of ${n}, ` +
    `longest ${maxMicroseconds} µs), from the request that makes it to the filter; while no agent runs it stays open`
  );
}

function isPermission(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EPERM' || error.code === 'EACCES');
}

/** An old libnftables loops for ever on chains that hook a prefix; so does the host's nft, which is built on it. */
async function listingFinding(): Promise<Finding> {
  const outcome = await listingOutcome();
  return {
    feature: 'libnftables lists chains on a name prefix (1.1.6)',
    ok: outcome === 'listed',
    consequence:
      outcome === 'unknown'
        ? 'not known: this kernel has no such chains'
        : `nft list ruleset ${outcome === 'hung' ? 'hangs' : 'fails'} while such chains with rules are in force`,
    required: false,
  };
}
