import { ADMITTED_SETS } from '../policy/membership.js';
import type { Plan } from './plan.js';
import { countsAdmitted } from './shared-state.js';

/** The sets that count what the door lets through. */
export interface AdmittedSets {
  /** All of them. */
  all: readonly string[];
  /** Those where the agent makes the elements. */
  made: readonly string[];
}

const known = new WeakMap<readonly string[], AdmittedSets>();

/** Always the same lists for a plan, since messages are kept by them. */
export function admittedSets({ counters }: Pick<Plan, 'counters'>): AdmittedSets {
  let sets = known.get(counters);
  if (!sets) {
    sets = {
      all: counters.filter(countsAdmitted),
      made: Object.values(ADMITTED_SETS).filter((set) => counters.includes(set)),
    };
    known.set(counters, sets);
  }
  return sets;
}
