import type { GuardName } from '../config/configuration.js';
import { ETHERTYPE_GUARDS } from './guard-name.js';
import { tokenize } from './lexer.js';

/** What rules look into behind the Ethernet header, which a tag moves. */
const LAYERS = new Set(['ip', 'ip6', 'arp', 'tcp', 'udp', 'icmp', 'icmpv6', 'th']);

/**
 * Whether a guest can walk past a file's rules by a tag: they look behind the Ethernet header, nothing looks at the
 * frame's type, and what no rule matches is accepted. A file that only seems so costs a warning.
 */
export function passesTags(text: string, guards: readonly GuardName[]): boolean {
  if (guards.some((guard) => ETHERTYPE_GUARDS.includes(guard))) return false;
  const words = tokenize(`${text}\n`).filter(
    ({ kind }) => kind === 'word' || kind === 'newline' || kind === 'symbol',
  );
  const next = (at: number) => words[at + 1]?.text;
  const looksAtType = words.some(
    ({ text: word }, at) => (word === 'ether' && next(at) === 'type') || word === 'vlan',
  );
  const looksBehind = words.some(({ text: word }) => LAYERS.has(word));
  const policies = words.flatMap(({ text: word }, at) => (word === 'policy' ? [next(at)] : []));
  return looksBehind && !looksAtType && (policies.length === 0 || policies.includes('accept'));
}

export function tagWarning(policy: string): string {
  return (
    `policy ${policy}: a guest that puts a tag on its frames walks past its rules, which look at nothing else. ` +
    'Give it guards: [ethertype], or the rule ether type != { ip, ip6, arp } drop in each base chain'
  );
}
