import type { GuardName, InlinePolicy, Policy, PolicyText } from '../config/configuration.js';
import { type Direction, isGuarding } from './guard.js';
import { GUARD_NAMES } from './guard-name.js';
import { tokenize } from './lexer.js';
import { LIMITS, type Limit } from './limit.js';

/** The user's rules for a direction. */
export function rulesOf(policy: Policy, direction: Direction): PolicyText | undefined {
  return policy.kind === 'inline' ? policy[direction] : undefined;
}

/** One direction of one policy, of what stands in it before the rules. */
export interface Plan {
  guards: GuardName[];
  limits: Limit[];
}

export function planOf(policy: Policy, direction: Direction): Plan {
  return {
    guards: GUARD_NAMES.filter((guard) => policy.guards.includes(guard) && isGuarding(guard, direction)),
    limits: LIMITS.filter((limit) => limit.direction === direction && policy.limits[limit.key]),
  };
}

/**
 * Whether rules of a policy may end in `return`, which is for its default to decide. Where they do they need a chain of
 * their own to return from; where they do not, a frame is spared the way there and back.
 */
export function mayReturn(policy: InlinePolicy, rules: PolicyText): boolean {
  return hasWord('return', policy, rules);
}

/**
 * Whether what comes behind a policy's guards may ask for the mark of a frame. It is 0 for rules, whether marks are
 * what finds policies or not.
 */
export function mayReadMark(policy: Policy, rules: PolicyText | undefined): boolean {
  // What a file says is not looked into.
  return policy.kind === 'file' || (rules !== undefined && hasWord('mark', policy, rules));
}

function hasWord(word: string, { variables }: InlinePolicy, rules: PolicyText): boolean {
  return [rules.text, ...Object.values(variables)].some((text) =>
    tokenize(text).some((token) => token.kind === 'word' && token.text === word),
  );
}
