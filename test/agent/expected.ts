/** The transactions that tests of the loop expect, operation by operation. */
import type { Case } from './support.js';

export const ATTACH_2 = [
  'NEWTABLE tapwall.2.guard',
  'NEWCHAIN tapwall.2.guard tapwall.passed.ingress',
  'NEWCHAIN tapwall.2.guard tapwall.passed.egress',
  'NEWCHAIN tapwall.2.guard ingress',
  'NEWCHAIN tapwall.2.guard egress',
  'NEWRULE tapwall.2.guard ingress',
  'NEWRULE tapwall.2.guard egress',
];
/** The same for a device that has had tables. */
export const REATTACH_2 = ['NEWTABLE tapwall.2.guard', 'DELTABLE tapwall.2.guard', ...ATTACH_2];
/** What a device of an inline policy joins: what is known of it first, then the policy. */
export const JOIN = ['NEWSETELEM tapwall mac.assigned', 'NEWSETELEM tapwall device.policy'];

export const FIRST = ['NEWCHAIN', 'DELRULE', 'NEWRULE'];
export const LAST = ['DELRULE', 'DELCHAIN'];

/** The same of the chains of both directions. */
export const inBoth = (words: readonly string[]) =>
  ['ingress', 'egress'].map((word) => words.map((one) => `${one} tapwall ${word}.more.0`));
export const MOVED = inBoth(['NEWCHAIN', 'DELCHAIN']);

/** What its own hooks take, in the first transaction and in the second. */
export function hookOperations(the: Case, name: string, index: number): [string[], string[]] {
  if (!the.hasOwnHooks(name)) return [[], []];
  if (the.setting.placement === 'chain') {
    const words = ['ingress', 'egress'].flatMap((word) => [
      `NEWCHAIN tapwall ${word}.device.${index}`,
      `NEWRULE tapwall ${word}.device.${index}`,
    ]);
    return [words, []];
  }
  // The first device brings the whole chain along.
  return [
    FIRST.map((word) => `${word} tapwall ingress.more.0`),
    FIRST.map((word) => `${word} tapwall egress.more.0`),
  ];
}
