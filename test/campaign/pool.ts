import type { Placement } from '#src/config/configuration.js';
import { PLACEMENTS } from '../support/agent.js';
import { Chance } from './chance.js';
import { drawRules, type Rules } from './rules.js';

/** For each placement, with an owner and without: what all should come to is found out once for each (judge.ts). */
const RULES = 12;
/** Tells what is drawn here from what the same seed draws elsewhere. */
const OTHER = 0x9e3779b9;

/** The rules of a campaign. What a step draws is one of them. */
export class RulesPool {
  readonly #rules = new Map<string, Rules[]>();

  constructor(seed: number) {
    const chance = new Chance((seed ^ OTHER) >>> 0);
    for (const placement of PLACEMENTS) {
      for (const owner of [true, false]) {
        const rules = Array.from({ length: RULES }, () => drawRules(chance, placement, owner));
        this.#rules.set(keyOf(placement, owner), rules);
      }
    }
  }

  draw(chance: Chance, placement: Placement, owner: boolean): Rules {
    return chance.of(this.#rules.get(keyOf(placement, owner)) ?? []);
  }
}

function keyOf(placement: Placement, owner: boolean): string {
  return `${placement} ${owner}`;
}
