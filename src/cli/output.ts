import Table from 'cli-table3';
import { TapwallError } from '../error.js';
import { visible, visibleLine } from '../observe/visible.js';

/** What the process ends with; documented in the help and the README. */
export const EXIT = {
  success: 0,
  /** The kernel refused, or something else went wrong. */
  failure: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** A configuration or a policy has errors. */
  input: 3,
  /** A device, a namespace or an attachment is not there. */
  notFound: 4,
  /** Only the ingress half is in force: this kernel has no egress hook. */
  partial: 5,
  /** Another process owns tapwall's tables. */
  owned: 6,
  /** No agent runs that could be asked. */
  noAgent: 7,
  /** A device that was to be filtered is not: refused, in quarantine, or not there in time. */
  notFiltered: 8,
  /** This user may not ask the agent. */
  denied: 9,
} as const;

export const EXIT_HELP = `
Exit status:
  0  success
  1  the kernel refused, or something else failed
  2  wrong usage
  3  errors in a configuration or a policy
  4  no such device, network namespace or attachment
  5  partly done: this kernel has no egress hook, only ingress is filtered
  6  an agent runs in the network namespace, and the tables are its own
  7  no agent runs that could be asked
  8  a device is not filtered: refused, in quarantine, or not there in time
  9  this user may not ask the agent`;

const EXIT_BY_CODE = new Map<string, number>([
  ['ARGUMENT', EXIT.usage],
  ['CONFIG', EXIT.input],
  ['POLICY', EXIT.input],
  ['POLICY_NOT_PORTABLE', EXIT.input],
  ['UNTRUSTED_FILE', EXIT.input],
  ['COMPILER_CRASHED', EXIT.input],
  ['COMPILER_TIMEOUT', EXIT.input],
  ['DEVICE_NOT_FOUND', EXIT.notFound],
  ['LINK_NOT_FOUND', EXIT.notFound],
  ['NAMESPACE_NOT_FOUND', EXIT.notFound],
  ['NOT_ATTACHED', EXIT.notFound],
  ['OWNED_BY_OTHER', EXIT.owned],
  ['CONTROL_PATH', EXIT.input],
  ['GROUP_NOT_FOUND', EXIT.input],
  ['METRICS_ADDRESS', EXIT.input],
  ['METRICS_IN_USE', EXIT.input],
  ['POLICY_NOT_FOUND', EXIT.notFound],
  ['NO_AGENT', EXIT.noAgent],
  ['ACCESS_DENIED', EXIT.denied],
]);

/** What the process ends with over an error of that code. */
export function exitStatusOf(code: string): number {
  return EXIT_BY_CODE.get(code) ?? EXIT.failure;
}

export function print(text: string): void {
  process.stdout.write(`${visible(text)}\n`);
}

export function printError(text: string): void {
  process.stderr.write(`${visible(text)}\n`);
}

/** One JSON object on one line; 64-bit numbers become strings. What a terminal would act on stands in it as JSON writes it. */
export function printJson(value: unknown): void {
  print(
    JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? inner.toString() : inner)),
  );
}

export function printTable(head: string[], rows: string[][]): void {
  const table = new Table({ head, style: { head: [], border: [], compact: true } });
  table.push(...rows.map((row) => row.map(visibleLine)));
  print(table.toString());
}

/** Tells an error the way the user asked for, and gives the exit status for it. */
export function reportError(error: unknown, json: boolean): number {
  if (!(error instanceof TapwallError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    printError(`tapwall: this is a defect of tapwall, please report it: ${text}`);
    return EXIT.failure;
  }
  if (json) printJson({ event: 'error', ...error.toJSON() });
  else {
    printError(`tapwall: ${error.message}`);
    if (error.hint !== undefined) printError(`  ${error.hint}`);
    if (error.code === 'EPERM')
      printError('  Root or CAP_NET_ADMIN is needed; tapwall doctor says what is there, and what it is for.');
  }
  return exitStatusOf(error.code);
}
