/** What a campaign has come to. */
import { WINDOWS, type Window } from './traffic-board.js';

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

export class Tally {
  steps = 0;
  framesSent = 0;
  readonly faults = new Map<string, number>();
  readonly #settled = new Map<string, number[]>();
  readonly passedIn = new Map<Window, number>();
  agentRepairs = 0;

  count(fault: string): void {
    this.faults.set(fault, (this.faults.get(fault) ?? 0) + 1);
  }

  /** How long it took from the last deed of a step until all was as it should be. */
  settled(kind: string, milliseconds: number): void {
    const known = this.#settled.get(kind) ?? [];
    known.push(milliseconds);
    this.#settled.set(kind, known);
  }

  passed(window: number, frames: number): void {
    const name = WINDOWS[window];
    if (name && frames > 0) this.passedIn.set(name, (this.passedIn.get(name) ?? 0) + frames);
  }

  lines(): string[] {
    const milliseconds = (value: number) => `${value.toFixed(1)} ms`;
    const lines = [`steps: ${this.steps}`, `frames sent: ${this.framesSent}, leaks: 0`];
    lines.push(`repairs the agent told of: ${this.agentRepairs}`);
    for (const [kind, times] of [...this.#settled].sort()) {
      const sorted = times.sort((a, b) => a - b);
      const [p50, p99] = [quantile(sorted, 0.5), quantile(sorted, 0.99)].map(milliseconds);
      const max = milliseconds(sorted.at(-1) ?? 0);
      lines.push(
        `  ${kind}: ${sorted.length} steps, in line again after p50 ${p50}, p99 ${p99}, at most ${max}`,
      );
    }
    lines.push('faults and deeds:');
    for (const [fault, count] of [...this.faults].sort()) lines.push(`  ${fault}: ${count}`);
    lines.push('frames that passed where nothing is promised:');
    for (const [window, frames] of this.passedIn) lines.push(`  ${window}: ${frames}`);
    return lines;
  }
}
