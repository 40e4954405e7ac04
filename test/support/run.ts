/** The agent as a command. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { AgentEvent } from '#src/agent/event.js';
import type { Lab } from '#src/demo/lab.js';
import { until } from './station.js';

export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** A command, to its end. */
export function tapwall(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8', timeout: 60_000 });
}

/** What a command prints under `--json`. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** `tapwall run --json`, and what it has said so far. */
export class Running {
  readonly events: AgentEvent[] = [];
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;

  constructor(lab: Lab, folder: string, ...more: string[]) {
    const args = [
      'run',
      '--config',
      join(folder, 'tapwall.yaml'),
      '--namespace',
      lab.namespacePath,
      '--json',
      ...more,
    ];
    this.child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    if (this.child.stdout) {
      createInterface({ input: this.child.stdout }).on('line', (line) =>
        this.events.push(JSON.parse(line) as AgentEvent),
      );
    }
    this.exited = new Promise((resolve) => this.child.on('close', resolve));
  }

  async saw(kind: AgentEvent['event'], times = 1): Promise<void> {
    await until(
      `${kind} ${times} times`,
      () => this.events.filter(({ event }) => event === kind).length >= times,
    );
  }
}
