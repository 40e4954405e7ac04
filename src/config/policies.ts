import { dirname, resolve } from 'node:path';
import { checkChainText, flawInInlineValue } from '../policy/chain-text.js';
import { DEFAULT_GUARDS, ETHERTYPE_GUARDS, guardsNamed, inGuardOrder } from '../policy/guard-name.js';
import { tokenize } from '../policy/lexer.js';
import {
  type GuardName,
  type InlinePolicy,
  type Limits,
  POLICY_NAME,
  type Policy,
  type PolicyText,
  type Rate,
  type Variables,
} from './configuration.js';
import type { Findings } from './findings.js';
import { checkPart, type Part } from './issue.js';
import { joinsLines, readPolicyText } from './policy-text.js';
import { readRate } from './rate.js';
import { limitsSchema, policySchema } from './schema.js';
import { quote } from './suggest.js';
import type { LocatedEntry, LocatedMap } from './yaml.js';

/** What `unmatched` says of a device without a policy; a policy of that name could not be meant. */
export const RESERVED_POLICY_NAMES: readonly string[] = ['drop', 'accept'];

/** Reads `policies`; one that is wrong in itself is told of, and not in the result. */
export function readPolicies(
  entry: LocatedEntry | undefined,
  sets: ReadonlySet<string>,
  findings: Findings,
): Map<string, Policy> {
  const policies = new Map<string, Policy>();
  if (entry?.value.kind !== 'map') return policies;
  for (const [name, policyEntry] of entry.value.entries) {
    checkName(name, policyEntry, findings);
    const policy = new PolicyReader(name, policyEntry, sets, findings).read();
    if (policy) policies.set(name, policy);
  }
  return policies;
}

function checkName(name: string, { key }: LocatedEntry, findings: Findings): void {
  if (RESERVED_POLICY_NAMES.includes(name)) {
    findings.refuse(
      key,
      `no policy can be called ${quote(name)}: \`unmatched: ${name}\` would mean two things`,
      'Give it another name, such as `nothing` or `everything`.',
    );
  } else if (!POLICY_NAME.test(name)) {
    findings.refuse(
      key,
      `${quote(name)} cannot be the name of a policy`,
      'Up to 63 letters, digits, `.`, `_` and `-`, the first a letter or digit.',
    );
  }
}

class PolicyReader {
  readonly #name: string;
  readonly #part: Part;
  readonly #key: LocatedEntry['key'];
  readonly #sets: ReadonlySet<string>;
  readonly #findings: Findings;

  constructor(name: string, { key, value }: LocatedEntry, sets: ReadonlySet<string>, findings: Findings) {
    this.#name = name;
    this.#part = { name: `the policy ${quote(name)}`, value, key };
    this.#key = key;
    this.#sets = sets;
    this.#findings = findings;
  }

  read(): Policy | undefined {
    const { source, problems } = this.#findings;
    const fields = checkPart(policySchema, this.#part, source, problems);
    const { value } = this.#part;
    if (value.kind !== 'map') return undefined;
    this.#checkKind(value);
    const ingress = this.#policyText(value.entries.get('ingress'));
    const egress = this.#policyText(value.entries.get('egress'));
    const limits = this.#limits(value.entries.get('limits'));
    if (!fields) return undefined;
    const location = source.location(this.#key.start);
    const variables = textOf(fields.variables ?? {});
    const guards = fields.guards && inGuardOrder(fields.guards.flatMap((name) => guardsNamed(name) ?? []));
    const common = { name: this.#name, location, variables, limits };
    if (fields.file !== undefined) {
      const file = resolve(dirname(source.file), fields.file);
      // A file is used as it is, unless it is asked otherwise.
      return { kind: 'file', ...common, file, guards: guards ?? [] };
    }
    this.#checkVariables(value.entries.get('variables'), variables);
    const policy: InlinePolicy = {
      kind: 'inline',
      ...common,
      ...(ingress && { ingress }),
      ...(egress && { egress }),
      // Fail closed: a forgotten key shows at once as a VM without a network, never as one without a filter.
      default: fields.default ?? 'drop',
      guards: guards ?? DEFAULT_GUARDS,
    };
    this.#warnOfTags(policy, value);
    return policy;
  }

  #checkKind({ entries }: LocatedMap): void {
    const inlineKeys = ['ingress', 'egress', 'default'].filter((inlineKey) => entries.has(inlineKey));
    if (!entries.has('file')) {
      if (inlineKeys.length > 0) return;
      this.#findings.refuse(
        this.#key,
        `${this.#part.name} says nothing: it needs \`file\`, or one of \`ingress\`, \`egress\` and \`default\``,
      );
      return;
    }
    for (const inlineKey of inlineKeys) {
      this.#findings.refuse(
        entries.get(inlineKey)?.key ?? this.#key,
        `${quote(inlineKey)} and \`file\` exclude each other`,
        'A file is used as it is: put the rules and the policies of its chains there.',
      );
    }
  }

  #policyText(entry: LocatedEntry | undefined): PolicyText | undefined {
    const value = entry?.value;
    if (value?.kind !== 'scalar' || typeof value.value !== 'string') return undefined;
    const { source, problems } = this.#findings;
    const policyText = readPolicyText(value.value, value, source);
    problems.push(...checkChainText(policyText, this.#sets));
    if (joinsLines(policyText, value, source)) {
      this.#findings.warn(
        value.span,
        'YAML joins these lines into one',
        'To keep one rule per line write the text after a `|`.',
      );
    }
    return policyText;
  }

  /** A variable of an inline policy is part of its rules. */
  #checkVariables(entry: LocatedEntry | undefined, variables: Variables): void {
    if (entry?.value.kind !== 'map') return;
    for (const [name, text] of Object.entries(variables)) {
      const flaw = flawInInlineValue(text, this.#sets);
      if (flaw) this.#findings.refuse(entry.value.entries.get(name)?.value.span ?? entry.key, ...flaw);
    }
  }

  #limits(entry: LocatedEntry | undefined): Limits {
    if (!entry) return {};
    const part = { name: `\`limits\` of ${this.#part.name}`, value: entry.value, key: entry.key };
    const fields = checkPart(limitsSchema, part, this.#findings.source, this.#findings.problems);
    return {
      ...rateNamed('broadcast', fields?.broadcast, 'packets'),
      ...rateNamed('ingressPackets', fields?.['ingress-packets'], 'packets'),
      ...rateNamed('ingressBytes', fields?.['ingress-bytes'], 'bytes'),
      ...rateNamed('egressPackets', fields?.['egress-packets'], 'packets'),
      ...rateNamed('egressBytes', fields?.['egress-bytes'], 'bytes'),
    };
  }

  /** To `ip` and `ip6` a frame with a tag is no IP, and what no rule drops passes. */
  #warnOfTags({ default: fallback, guards, ingress, egress }: InlinePolicy, { entries }: LocatedMap): void {
    if (fallback !== 'accept' || guards.some(isEthertypeGuard)) return;
    const open = [ingress, egress].some((rules) => rules !== undefined && !dropsByEthertype(rules));
    if (!open) return;
    this.#findings.warn(
      entries.get('default')?.value.span ?? this.#key,
      'a guest that tags its frames walks past rules on `ip` and `ip6`: what they do not drop is accepted',
      'Add the guard `ethertype`, or the rule `ether type != { ip, ip6, arp } drop` to both directions.',
    );
  }
}

function isEthertypeGuard(guard: GuardName): boolean {
  return ETHERTYPE_GUARDS.includes(guard);
}

/** True if the rules themselves say what becomes of every ethertype they do not name. */
function dropsByEthertype({ text }: PolicyText): boolean {
  const words = tokenize(`${text}\n`)
    .filter(({ kind }) => kind !== 'comment')
    .map((token) => token.text);
  return words.some(
    (word, index) => word === 'ether' && words.slice(index + 1, index + 4).join(' ') === 'type ! =',
  );
}

function rateNamed<Name extends keyof Limits>(
  name: Name,
  text: string | undefined,
  unit: Rate['unit'],
): { [key in Name]?: Rate } {
  const rate = text === undefined ? undefined : readRate(text, unit);
  return rate && !('flaw' in rate) ? ({ [name]: rate } as { [key in Name]: Rate }) : {};
}

/** Numbers as nft writes them. */
function textOf(variables: Readonly<Record<string, string | number>>): Variables {
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)]));
}
