/** Shared tables from nft text, on the real kernel in a namespace of their own. */
import { readShared } from '#src/agent/shared-state.js';
import { Compiler } from '#src/compiler/compiler.js';
import { dumpRuleset, Scratch } from '#src/compiler/scratch.js';
import { linuxKernel } from '#src/kernel/linux.js';
import type { NetlinkSocket } from '#src/kernel/socket.js';
import type { Operation } from '#src/nftables/batch.js';
import { parseRuleset } from '#src/nftables/ruleset.js';
import {
  encodeSegment,
  encodeTransaction,
  type Segment,
  transactionLength,
} from '#src/nftables/transaction.js';
import type { Blueprint } from '#src/program/blueprint.js';
import { changeSegments, planChange } from '#src/program/change.js';
import { takeInventory } from '#src/program/inventory.js';
import type { VerdictChains } from '#src/program/verdict.js';
import { kernelState } from '../support/kernel-state.js';

/** Of chains whose names end so, final verdicts are counted. */
export function countedRules(chain: string): VerdictChains | undefined {
  return chain.endsWith('.rules') ? { accept: 'admit', drop: 'dropped', counter: 'admitted' } : undefined;
}

/** nft 1.0.6 wants a line's end before the brace that closes a chain. */
function closeOnOwnLine(line: string): string {
  const count = (brace: string) => line.split(brace).length;
  return count('}') > count('{') ? line.replace(/ ?\}$/, '\n  }') : line;
}

/** The blueprints of some texts, compiled by libnftables. */
export async function blueprints(...texts: string[]): Promise<Blueprint[]> {
  const compiler = new Compiler();
  try {
    const compiled: Blueprint[] = [];
    for (const short of texts) {
      const text = short.split('\n').map(closeOnOwnLine).join('\n');
      const source = { name: 'tapwall', file: 'tapwall.yaml', text, directory: undefined, variables: {} };
      compiled.push((await compiler.compileShared(source, countedRules)).blueprint);
    }
    return compiled;
  } finally {
    compiler.close();
  }
}

/** The real kernel's nf_tables in a namespace of its own, with a shared table to be changed. */
export class Stage {
  readonly #scratch = new Scratch(linuxKernel());

  get netfilter(): NetlinkSocket {
    return this.#scratch.netfilter;
  }

  /** For `nsenter --net=`. */
  get namespace() {
    return this.#scratch.namespace;
  }

  send(...segments: Segment[]): void {
    if (segments.length === 0) return;
    this.netfilter.commitWith(transactionLength(segments), (sequence) =>
      encodeTransaction(segments, sequence),
    );
  }

  operate(operations: readonly Operation[]): void {
    this.send(encodeSegment(operations));
  }

  /** Makes of what there is what a blueprint says. @returns what was sent, by its labels. */
  put(blueprint: Blueprint): string[] {
    const inventory = readShared(this.netfilter)?.inventory;
    const segments = changeSegments(planChange(inventory, blueprint));
    this.send(...segments);
    return segments.flatMap(({ labels }) => labels);
  }

  inventory() {
    return takeInventory(parseRuleset(dumpRuleset(this.netfilter)));
  }

  /** All that the kernel holds, in no order, for the order of its dumps tells when what was made. */
  state(): string[] {
    const lines = kernelState(this.netfilter, { nameOf: (table) => table, withoutComment: false });
    let list = '';
    return lines
      .map((line) => {
        if (!line.startsWith('  ')) list = line;
        return line.startsWith('  ') ? `${list}${line}` : line;
      })
      .sort();
  }

  close(): void {
    this.#scratch.close();
  }
}

/** Runs an action on a stage that is gone afterwards. */
export function onStage<T>(action: (stage: Stage) => T): T {
  const stage = new Stage();
  try {
    return action(stage);
  } finally {
    stage.close();
  }
}
