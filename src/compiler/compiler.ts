import { randomBytes, randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { SourceError, TapwallError } from '../error.js';
import { parseMessages } from '../netlink/message.js';
import { parseRuleset } from '../nftables/ruleset.js';
import { flawInVariableName, flawInVariableValue } from '../policy/variable.js';
import { type Blueprint, buildBlueprint, type VerdictPlan } from '../program/blueprint.js';
import { buildProgram, type Compilation, MarkerConflict } from '../program/build.js';
import type { Program } from '../program/program.js';
import { NAME_SLOT_LENGTH } from '../program/slot.js';
import type { Markers } from '../program/template.js';
import { missingLink, type PolicySource, parseDiagnostics } from './diagnostics.js';
import { checkIncludes } from './includes.js';
import { CompilerProcess } from './process.js';
import type { CompileAnswer } from './protocol.js';

export type { PolicySource } from './diagnostics.js';

/** How a compiler works. */
export interface CompilerOptions {
  /** Milliseconds that one policy may take; 10,000 unless given. */
  timeLimitMs?: number;
}

/** What nft prints of the result, with a stand-in for the device's name. */
export interface Listing {
  text: string;
  standIn: string;
}

/** How one policy is compiled. */
export interface CompileOptions {
  /** Whether to give what nft prints of the result, too; false unless given. */
  listing?: boolean;
  /** Ends the work: the promise rejects with the signal's reason, and the next policy is compiled as ever. */
  signal?: AbortSignal | undefined;
}

/** A policy that is a file, compiled. */
export interface Compiled {
  program: Program;
  /** Only when asked for. */
  listing?: Listing;
}

export interface CompiledShared {
  blueprint: Blueprint;
  /** Only when asked for. */
  listing?: Listing;
}

/** Other links a policy may name before it is refused as hopeless. */
const MAXIMUM_LINKS = 64;
/** A random marker equals a constant of the user's once in 2³¹; three times in a row is no accident. */
const ATTEMPTS = 3;

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** An index whose four bytes all differ and that is far from any a kernel hands out by itself. */
function randomIndex(taken: Set<number>): number {
  for (;;) {
    const index = randomInt(0x01000000, 0x7ffffff0);
    const bytes = new Set([index & 0xff, (index >> 8) & 0xff, (index >> 16) & 0xff, index >> 24]);
    if (bytes.size < 4 || taken.has(index) || taken.has(index - 1) || taken.has(index + 1)) continue;
    taken.add(index);
    return index;
  }
}

function randomName(): string {
  return Array.from(randomBytes(NAME_SLOT_LENGTH), (byte) => LETTERS[byte % LETTERS.length]).join('');
}

/** Markers that stand nowhere in the user's text. */
function chooseMarkers(source: PolicySource, links: readonly string[]): Markers {
  const taken = new Set<number>();
  let name = randomName();
  while (
    source.text.includes(name) ||
    Object.values(source.variables).some((value) => value.includes(name))
  ) {
    name = randomName();
  }
  return {
    name,
    index: randomIndex(taken),
    links: links.map((link) => ({ name: link, index: randomIndex(taken) })),
  };
}

const AS_ROOT =
  'An ordinary user cannot send so large a ruleset at once (net.core.wmem_max); compile or check it as root.';

/** The kernel's words for EMSGSIZE: only root may raise a socket's send buffer past the limit (socket(7)). */
function tooLongForUser(error: string): boolean {
  return error.includes('Message too long') && process.geteuid?.() !== 0;
}

function readIncludedLine(file: string, line: number): string | undefined {
  try {
    return readFileSync(file, 'utf8').split('\n')[line - 1];
  } catch {
    return undefined;
  }
}

/** libnftables pastes a variable into nft text as it is, so a value could begin a statement of its own. */
function checkVariables({ file, variables }: PolicySource): void {
  for (const [name, value] of Object.entries(variables)) {
    const nameFlaw = flawInVariableName(name);
    const flaw = nameFlaw ?? flawInVariableValue(value);
    if (flaw === undefined) continue;
    const what = nameFlaw === undefined ? `the value of the variable ${name}` : `the variable name ${name}`;
    throw new TapwallError('ARGUMENT', `cannot compile ${file} with ${what}: ${flaw}`);
  }
}

/** Turns policies into programs. Holds a child process while there is work; `close` ends it. */
export class Compiler {
  readonly #process: CompilerProcess;
  #nextId = 1;

  constructor(options: CompilerOptions = {}) {
    this.#process = new CompilerProcess({ timeLimitMs: options.timeLimitMs });
  }

  /**
   * @throws SourceError POLICY for errors in the text, POLICY_NOT_PORTABLE for what cannot be given per device.
   * @throws TapwallError COMPILER_TIMEOUT, COMPILER_CRASHED, or the code of what kept the scratch namespace from
   *   being made. Nothing outside it is ever touched.
   */
  async compile(source: PolicySource, options: CompileOptions = {}): Promise<Compiled> {
    const { built, listing } = await this.#compile(source, options, (first, second) =>
      buildProgram(source.name, source.file, first, second),
    );
    return listing ? { program: built, listing } : { program: built };
  }

  /**
   * Compiles the text of the table that all devices share; otherwise as `compile`.
   * @internal
   * @param verdicts says for which chains frames are counted where they are accepted or dropped.
   */
  async compileShared(
    source: PolicySource,
    verdicts: VerdictPlan,
    options: CompileOptions = {},
  ): Promise<CompiledShared> {
    const { built, listing } = await this.#compile(source, options, (first, second) =>
      buildBlueprint(source.file, first, second, verdicts),
    );
    return listing ? { blueprint: built, listing } : { blueprint: built };
  }

  /** Starts the child process now: the first policy waits for less. */
  warm(): void {
    this.#process.warm();
  }

  /** Ends the child process. What is being compiled rejects; another policy starts a new one. */
  close(): void {
    this.#process.close();
  }

  async #compile<T>(
    source: PolicySource,
    options: CompileOptions,
    build: (first: Compilation, second: Compilation) => T,
  ): Promise<{ built: T; listing?: Listing }> {
    checkVariables(source);
    checkIncludes(source, source.directory);
    const links: string[] = [];
    for (let attempt = 1; ; ) {
      const passes = [chooseMarkers(source, links), chooseMarkers(source, links)];
      const answer = await this.#run(source, passes, options);
      if (answer.status === 'failed') {
        const { code, message } = answer.error;
        throw new TapwallError(code, `cannot compile ${source.file}: ${message}`, {
          hint: 'Compiling needs a network namespace of its own: root, or unprivileged user namespaces.',
        });
      }
      if (answer.status === 'refused') {
        const diagnostics = parseDiagnostics(answer.error, answer.file, source, readIncludedLine);
        const link = missingLink(diagnostics);
        if (link === undefined || links.includes(link) || links.length >= MAXIMUM_LINKS) {
          throw new SourceError(
            'POLICY',
            diagnostics.map(({ meant: _, ...problem }) => problem),
            tooLongForUser(answer.error) ? { hint: AS_ROOT } : {},
          );
        }
        links.push(link);
        continue;
      }
      try {
        const [first, second] = compilations(passes, answer);
        const built = build(first, second);
        const standIn = passes[0]?.name ?? '';
        return answer.listing === undefined
          ? { built }
          : { built, listing: { text: answer.listing, standIn } };
      } catch (error) {
        if (!(error instanceof MarkerConflict) || attempt++ >= ATTEMPTS) throw error;
      }
    }
  }

  async #run(source: PolicySource, passes: Markers[], options: CompileOptions): Promise<CompileAnswer> {
    try {
      const request = {
        id: this.#nextId++,
        kind: 'compile' as const,
        text: source.text,
        directory: source.directory,
        variables: source.variables,
        passes,
        listing: options.listing === true,
      };
      return (await this.#process.run(request, options.signal)) as CompileAnswer;
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof TapwallError)) throw error;
      throw new TapwallError(error.code, `cannot compile ${source.file}: ${error.message}`, {
        cause: error,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
      });
    }
  }
}

function compilations(
  passes: readonly Markers[],
  answer: CompileAnswer & { status: 'compiled' },
): [first: Compilation, second: Compilation] {
  const [first, second] = passes.map((markers, index) => ({
    markers,
    ruleset: parseRuleset(parseMessages(Buffer.from(answer.passes[index]?.dump ?? '', 'base64'))),
    elapsedMs: answer.passes[index]?.elapsedMs ?? 0,
  }));
  if (!first || !second) throw new TapwallError('COMPILER_CRASHED', 'the compiler gave back no result');
  return [first, second];
}
