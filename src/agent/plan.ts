import type { CompiledShared, Compiler, Listing, PolicySource } from '../compiler/compiler.js';
import { policyFolder } from '../compiler/includes.js';
import type {
  Binding,
  Configuration,
  FilePolicy,
  NamedSet,
  Placement,
  Policy,
  Unmatched,
} from '../config/configuration.js';
import { textOfElements } from '../config/element-text.js';
import { isOwnAlone } from '../config/namespace.js';
import { SourceError, TapwallError } from '../error.js';
import { readUserFile, Unreadable } from '../files/read.js';
import { type Judge, refuseDoubts } from '../files/trust.js';
import { countElements } from '../nftables/packed-elements.js';
import { blankEgressChains } from '../policy/egress-chain.js';
import { prefixLengths } from '../policy/fact.js';
import { ADMITTED_SETS, type PolicyMembership } from '../policy/membership.js';
import { capacityOf } from '../policy/named-set-text.js';
import { BY_HAND, FIRST_MARK, POLICY_CHAIN, renderShared, type SharedSource } from '../policy/shared.js';
import { type Blueprint, SHARED_TABLE } from '../program/blueprint.js';
import { type HeldElements, heldElements, withElements } from '../program/held.js';
import type { Program } from '../program/program.js';
import type { Ownership } from '../program/slot.js';
import type { VerdictChains } from '../program/verdict.js';
import { readSetFiles } from './set-files.js';

/** One policy of a configuration, compiled. */
export interface PlannedPolicy extends PolicyMembership {
  name: string;
  /** The tables that each device gets for itself, when the policy is a file. */
  program: Program | undefined;
}

/** A configuration, compiled: all the agent's loop needs. Plain data, so that it can be posted to a worker. */
export interface Plan {
  /** The configuration file's name, for messages. */
  file: string;
  prefixes: readonly string[];
  /** The names that are hooked in advance under placement `names`. */
  names: ReadonlySet<string>;
  placement: Placement;
  bindings: readonly Binding[];
  unmatched: Unmatched;
  /** The table that all devices share. */
  blueprint: Blueprint;
  policies: ReadonlyMap<string, PlannedPolicy>;
  /** The policy of devices that are filtered by their own tables alone, or not at all. */
  byHand: PlannedPolicy;
  /** The sets in which packets are counted, one element for each device. */
  counters: readonly string[];
  /** Whether a hook outlives its device (6.16). */
  keepsHooks: boolean;
  /** Whether an element can be deleted that may not be there (6.3). */
  destroys: boolean;
  /** Whose tables are that are made: `own` keeps other programs from changing them. */
  ownership: Ownership;
  /** The network namespaces that are served, as the configuration says it; absent for the agent's own. */
  namespaces?: readonly string[] | undefined;
  /** How often everything is compared, in milliseconds; 0 for never. */
  reconcileMs: number;
  /** What was left out and why, for the log. */
  warnings: readonly string[];
}

/** What the running kernel can do, as far as compiling depends on it. */
export interface CompileCapabilities {
  /** Whether netdev chains can hook egress (5.16). */
  egress: boolean;
}

/** A policy's text as it goes to the compiler, and what had to be left out of it. */
export interface Prepared {
  source: PolicySource;
  /** The base chains that filter traffic from the VM and cannot be installed here. */
  egressLeftOut: string[];
}

/**
 * Reads a policy file.
 * @throws TapwallError POLICY when it cannot be read, UNTRUSTED_FILE when others can write it.
 */
function readPolicyFile(file: string, judge: Judge): string {
  try {
    const text = readUserFile(file, judge);
    return new TextDecoder('utf-8', { fatal: true }).decode(text);
  } catch (cause) {
    if (!(cause instanceof Unreadable || cause instanceof TypeError)) throw cause;
    const reason = cause instanceof Unreadable ? cause.message : 'it is not UTF-8';
    throw new TapwallError('POLICY', `cannot read the policy file ${file}: ${reason}`, { cause });
  }
}

/** @param judge is told of whoever else could write the file, or one that it includes. */
export function prepareFile(
  policy: Pick<FilePolicy, 'name' | 'file' | 'variables'>,
  capabilities: CompileCapabilities,
  judge: Judge = refuseDoubts,
): Prepared {
  const text = readPolicyFile(policy.file, judge);
  const blanked = capabilities.egress ? { text, removed: [] } : blankEgressChains(text, policy.file);
  return {
    source: {
      name: policy.name,
      file: policy.file,
      text: blanked.text,
      directory: policyFolder(policy.file),
      variables: policy.variables,
      judge,
    },
    egressLeftOut: blanked.removed.map(({ name }) => name),
  };
}

/** The words for a policy whose egress half this kernel cannot take. */
export function egressMessage(policy: string, chains: readonly string[]): string {
  return (
    `policy ${policy}: this kernel has no egress hook (Linux 5.16), so ` +
    `${chains.join(', ')} cannot be installed and traffic FROM the VM is not filtered`
  );
}

/** Marks that the kernel knows policies by, from a plan or a kernel that is there: they are kept. */
export type Marks = ReadonlyMap<string, number>;

/** A mark for each policy: its own from before, or the first that is free. */
function assignMarks(policies: Iterable<string>, before: Marks): Map<string, number> {
  const names = [...policies];
  const kept = names.filter((name) => before.has(name));
  const marks = new Map(kept.map((name) => [name, before.get(name) ?? 0]));
  const taken = new Set(marks.values());
  let next = FIRST_MARK;
  for (const name of names) {
    if (marks.has(name)) continue;
    while (taken.has(next)) next++;
    marks.set(name, next);
    taken.add(next);
  }
  return marks;
}

export function marksOf({ policies }: Pick<Plan, 'policies'>): Marks {
  return new Map([...policies].map(([name, { mark }]) => [name, mark]));
}

/** What a plan is made for: a kernel, as {@link probePlacement} found it. */
export interface PlanOptions {
  placement: Placement;
  capabilities: CompileCapabilities;
  /** Whether hooks stay when their device goes (6.16). */
  keepsHooks: boolean;
  /** Whether an element can be destroyed that may not be there (6.3). */
  destroys: boolean;
  /** Whether a table can belong to a socket and outlive it (6.9). */
  ownerPersist: boolean;
  /** The marks that policies have in the kernel. */
  marks?: Marks;
  /** Ends the work: the promise rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/**
 * Compiles every policy of a configuration, also those no binding uses: a policy is proven before a VM needs it.
 * @throws SourceError with the problems of all policies together; nothing was changed anywhere.
 */
export async function compilePlan(
  configuration: Configuration,
  compiler: Compiler,
  options: PlanOptions,
): Promise<Plan> {
  return (await compileAll(configuration, compiler, options)).plan;
}

/**
 * The same, with what nft prints of the shared table; where the hooks will stand makes no difference to it.
 * @param judge is told of policies' files that others can write.
 */
export function compileForListing(
  configuration: Configuration,
  compiler: Compiler,
  capabilities: CompileCapabilities,
  judge: Judge,
): Promise<{ plan: Plan; listing?: Listing }> {
  const options = {
    placement: 'names' as const,
    capabilities,
    keepsHooks: true,
    destroys: true,
    ownerPersist: true,
  };
  return compileAll(configuration, compiler, options, judge, true);
}

async function compileAll(
  given: Configuration,
  compiler: Compiler,
  options: PlanOptions,
  judge: Judge = refuseDoubts,
  isForReaders = false,
): Promise<{ plan: Plan; listing?: Listing }> {
  const { capabilities, signal } = options;
  const problems: SourceError['problems'][number][] = [];
  const warnings: string[] = [];
  const configuration = readSetFiles(given, judge, problems);
  const programs = new Map<string, Program>();
  const leftOut = (policy: Policy, chains: readonly string[]) => {
    if (chains.length === 0 || configuration.egress === 'optional') return;
    warnings.push(egressMessage(policy.name, chains));
  };
  for (const policy of configuration.policies.values()) {
    if (policy.kind === 'inline') {
      leftOut(policy, capabilities.egress ? [] : ['egress']);
      continue;
    }
    try {
      const { source, egressLeftOut } = prepareFile(policy, capabilities, judge);
      programs.set(policy.name, (await compiler.compile(source, { signal })).program);
      leftOut(policy, egressLeftOut);
    } catch (error) {
      signal?.throwIfAborted();
      // Not a mistake in a text: what everything else says may be somebody else's as well.
      if (error instanceof TapwallError && error.code === 'UNTRUSTED_FILE') throw error;
      problems.push(...problemsOf(policy, error));
    }
  }
  const marks = assignMarks(configuration.policies.keys(), options.marks ?? new Map());
  const shared = renderConfiguration(configuration, marks, capabilities);
  let compiled: CompiledShared | undefined;
  try {
    signal?.throwIfAborted();
    compiled = await compileRendered(configuration, shared, compiler, signal);
  } catch (error) {
    signal?.throwIfAborted();
    problems.push(...(await blame(configuration, error, compiler, marks, options)));
  }
  if (problems.length > 0 || !compiled) throw new SourceError('POLICY', problems);
  const planned = (membership: PolicyMembership, name: string): PlannedPolicy => ({
    ...membership,
    name,
    program: programs.get(name),
  });
  const plan: Plan = {
    file: configuration.file,
    prefixes: configuration.devices.prefixes,
    names: new Set(configuration.devices.names),
    placement: options.placement,
    bindings: configuration.bindings,
    unmatched: configuration.unmatched,
    blueprint: withElements(compiled.blueprint, elementsOf(configuration)),
    policies: new Map(
      [...shared.policies].map(([name, membership]) => [name, planned(membership, name)] as const),
    ),
    byHand: planned(shared.byHand, BY_HAND),
    counters: shared.counters,
    keepsHooks: options.keepsHooks,
    destroys: options.destroys,
    ownership: configuration.owner && options.ownerPersist ? 'own' : 'none',
    namespaces: configuration.namespaces,
    reconcileMs: configuration.reconcileMs,
    warnings,
  };
  if (!isForReaders) return { plan };
  const spelled = spellElements(configuration);
  const text = spelled && renderConfiguration(spelled, marks, capabilities);
  const { listing } = text ? await compileRendered(configuration, text, compiler, signal) : compiled;
  return listing ? { plan, listing } : { plan };
}

/** More are no help to a reader. */
const MOST_LISTED = 4_096;

/** The configuration with elements in words, for nft to list them; undefined where there are none, or too many. */
function spellElements(configuration: Configuration): Configuration | undefined {
  const sets = [...configuration.sets.values()];
  const counts = sets.map(({ packed }) => (packed ? countElements(packed) : 0));
  if (Math.max(0, ...counts) === 0) return undefined;
  const spelled = sets.map((set, at): NamedSet => {
    if (!set.packed || (counts[at] ?? 0) > MOST_LISTED) return set;
    return {
      ...set,
      packed: undefined,
      elements: textOfElements(set.packed, set.type),
      elementLocations: [],
    };
  });
  return { ...configuration, sets: new Map(spelled.map((set) => [set.name, set])) };
}

/** The elements that are no part of the text that is compiled. */
function elementsOf({ sets }: Configuration): Map<string, HeldElements> {
  const elements = new Map<string, HeldElements>();
  for (const set of sets.values()) {
    if (!set.packed) continue;
    const isEditable = !set.flags.includes('dynamic') && !set.flags.includes('timeout');
    elements.set(set.name, heldElements(set.packed, { isEditable, capacity: capacityOf(set) }));
  }
  return elements;
}

/** In one network namespace; 256 KiB of buckets in each set. */
const MOST_DEVICES = 24_576;
/** In each namespace where an agent may serve many; 32 KiB. */
const MOST_DEVICES_OF_SEVERAL = 3_072;

function renderConfiguration(
  { policies, sets, bindings, namespaces }: Configuration,
  marks: Marks,
  { egress }: CompileCapabilities,
): SharedSource {
  return renderShared({
    policies: [...policies.values()].map((policy) => ({ policy, mark: marks.get(policy.name) ?? 0 })),
    sets: [...sets.values()],
    prefixLengths: prefixLengths(bindings),
    mostDevices: isOwnAlone(namespaces) ? MOST_DEVICES : MOST_DEVICES_OF_SEVERAL,
    hooks: { egress },
  });
}

/**
 * Compiles the text of the shared table. What is installed must be listed by the host's nft one day, so it is always
 * listed: a text that libnftables dies of is refused now.
 */
function compileRendered(
  { file }: Configuration,
  shared: SharedSource,
  compiler: Compiler,
  signal: AbortSignal | undefined,
): Promise<CompiledShared> {
  const source: PolicySource = {
    name: SHARED_TABLE,
    file,
    text: shared.text,
    directory: undefined,
    variables: {},
    locate: (line, column) => shared.sourceMap.locate(line, column) ?? { file, line: 1, column: 1 },
  };
  return compiler.compileShared(source, countedVerdicts, { listing: true, signal });
}

/** The rules of users' policies say `accept` and `drop`; where they stand, frames are counted for their device. */
function countedVerdicts(chain: string): VerdictChains | undefined {
  const [, word] = POLICY_CHAIN.exec(chain) ?? [];
  if (word !== 'ingress' && word !== 'egress') return undefined;
  return { accept: `${word}.admit`, drop: `${word}.dropped.policy`, counter: ADMITTED_SETS[word] };
}

function problemsOf(policy: Policy, error: unknown): SourceError['problems'] {
  if (error instanceof SourceError) return error.problems;
  if (!(error instanceof TapwallError)) throw error;
  return [
    { message: `policy ${policy.name}: ${error.message}`, location: policy.location, hint: error.hint },
  ];
}

/** Finds out which policy it was that libnftables crashed on, or did not come to an end with. */
async function blame(
  configuration: Configuration,
  error: unknown,
  compiler: Compiler,
  marks: Marks,
  { capabilities, signal }: PlanOptions,
): Promise<SourceError['problems']> {
  if (error instanceof SourceError) return error.problems;
  if (!(error instanceof TapwallError)) throw error;
  const problems: SourceError['problems'][number][] = [];
  for (const policy of configuration.policies.values()) {
    const alone = { ...configuration, policies: new Map([[policy.name, policy]]) };
    try {
      await compileRendered(alone, renderConfiguration(alone, marks, capabilities), compiler, signal);
    } catch (one) {
      signal?.throwIfAborted();
      problems.push(...problemsOf(policy, one));
    }
  }
  return problems.length > 0 ? problems : [{ message: error.message, hint: error.hint }];
}
