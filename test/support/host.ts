/** A throw-away host for tests: namespaces, and the tools that the tests compare against. */
import { spawnSync } from 'node:child_process';
import { Lab } from '#src/demo/lab.js';
import type { NamespaceHandle } from '#src/kernel/kernel.js';
import { linuxKernel } from '#src/kernel/linux.js';

export const kernel = linuxKernel();

/** A host of its own, for tests that close it themselves. */
export function openLab(): Lab {
  return new Lab(kernel);
}

/** Runs an action on a host of its own, which is gone afterwards, also when the action fails. */
export async function withLab<T>(action: (lab: Lab) => T | Promise<T>): Promise<T> {
  const lab = openLab();
  try {
    return await action(lab);
  } finally {
    lab.close();
  }
}

/** Runs an action on so many hosts, at least one. */
export async function withLabs<T>(
  count: number,
  action: (labs: [Lab, ...Lab[]]) => T | Promise<T>,
): Promise<T> {
  return await withLab((lab) =>
    count > 1 ? withLabs(count - 1, (others) => action([lab, ...others])) : action([lab]),
  );
}

export interface ToolResult {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Long enough for any of these tools, short of a loop that never ends. */
const TOOL_LIMIT_MS = 20_000;

/** Bytes: nft lists 100,000 addresses in some. */
const LONGEST_OUTPUT = 1 << 26;

/** Runs a program inside a namespace. */
export function runIn(namespace: NamespaceHandle, command: string[], cwd?: string): ToolResult {
  const { status, stdout, stderr, error } = spawnSync('nsenter', [`--net=${namespace.path}`, ...command], {
    encoding: 'utf8',
    timeout: TOOL_LIMIT_MS,
    maxBuffer: LONGEST_OUTPUT,
    ...(cwd === undefined ? {} : { cwd }),
  });
  if (error && status === null && !('signal' in error)) throw error;
  return { status, stdout, stderr };
}
