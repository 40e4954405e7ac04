import type { TapwallError } from '../error.js';
import type { Device } from './device.js';
import { type AgentEvent, type DetachReason, eventError } from './event.js';
import type { ForeignChange } from './watch.js';

/** A flush of everything names a table for each of thousands of devices. */
const MOST_TABLES = 16;

/** Tells what happens to devices, and how long it took since the agent woke. */
export class Herald {
  readonly emit: (event: AgentEvent) => void;
  #woke = process.hrtime.bigint();

  constructor(emit: (event: AgentEvent) => void) {
    this.emit = emit;
  }

  /** From then on time counts, unless it is given from now on; nanoseconds of `process.hrtime`. */
  wake(at = process.hrtime.bigint()): void {
    this.#woke = at;
  }

  get microseconds(): number {
    return Number((process.hrtime.bigint() - this.#woke) / 1000n);
  }

  warn(message: string): void {
    this.emit({ event: 'warning', message });
  }

  attached({ link, tables, hooks }: Device, policy: string, how: { replaced: boolean; kept: boolean }): void {
    const { name, index } = link;
    const { microseconds } = this;
    const inAdvance = hooks.size === 0;
    const { replaced, kept } = how;
    this.emit({
      event: 'attached',
      device: name,
      index,
      policy,
      tables,
      replaced,
      kept,
      inAdvance,
      microseconds,
    });
  }

  detached({ link: { name, index } }: Device, reason: DetachReason, tables: readonly string[]): void {
    const { microseconds } = this;
    this.emit({ event: 'detached', device: name, index, reason, tables, microseconds });
  }

  /** @param foreign undefined for what was found without anybody having told of it. */
  repaired(foreign: ForeignChange | undefined, transactions: number): void {
    const { microseconds } = this;
    const tables = [...(foreign?.tables ?? [])].slice(0, MOST_TABLES);
    this.emit({ event: 'repaired', by: foreign?.by ?? [], tables, transactions, microseconds });
  }

  unmatched({ link: { name, index } }: Device, closed: boolean): void {
    this.emit({ event: 'unmatched', device: name, index, closed });
  }

  quarantined({ link: { name, index } }: Device): void {
    this.emit({ event: 'quarantined', device: name, index });
  }

  failed({ link: { name, index } }: Device, policy: string, error: TapwallError, closed: boolean): void {
    this.emit({ event: 'failed', device: name, index, policy, error: eventError(error), closed });
  }
}
