/** What the pages tell a reader to write or to run. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import remarkParse from 'remark-parse';
import { unified } from 'unified';
import { compileForListing } from '#src/agent/plan.js';
import { makeProgram } from '#src/cli/commands.js';
import { Compiler } from '#src/compiler/compiler.js';
import { parseConfiguration } from '#src/config/load.js';
import { commandHelps } from '#src/docs/command-help.js';
import { ERROR_CODES } from '#src/error.js';
import { withFiles } from '../support/agent.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PAGES = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' }).map((name) => `docs/${name}`),
]
  .filter((name) => name.endsWith('.md'))
  .sort();

interface MarkdownNode {
  type: string;
  lang?: string | null | undefined;
  value?: string | undefined;
  children?: readonly MarkdownNode[] | undefined;
  position?: { start: { line: number } } | undefined;
}

interface Piece {
  /** `docs/guards.md:12`. */
  place: string;
  text: string;
}

/** Every node of a type, of all pages. */
function pieces(type: 'code' | 'inlineCode', language?: string): Piece[] {
  return PAGES.flatMap((page) => {
    const found: Piece[] = [];
    const walk = (node: MarkdownNode): void => {
      if (node.type === type && (language === undefined || node.lang === language))
        found.push({ place: `${page}:${node.position?.start.line}`, text: node.value ?? '' });
      for (const child of node.children ?? []) walk(child);
    };
    walk(
      unified()
        .use(remarkParse)
        .parse(readFileSync(join(ROOT, page), 'utf8')),
    );
    return found;
  });
}

/** Messages that begin with `tapwall`. */
const SENTENCES = ['itself says what the chain is hooked to'];

/** Files that configurations of the pages name. */
const STAND_IN =
  'table netdev t {\n  chain in { type filter hook ingress device $intf priority 0; policy accept;\n  }\n}\n';

describe('the configurations of the pages', () => {
  const compiler = new Compiler();
  after(() => compiler.close());

  it('pass tapwall check, those that are whole', async () => {
    const whole = pieces('code', 'yaml').filter(
      ({ text }) => /^policies:/m.test(text) && /^bindings:/m.test(text),
    );
    assert.ok(whole.length >= 3, `${whole.length} found`);
    for (const { place, text } of whole) {
      const files = Object.fromEntries(
        [...text.matchAll(/file: ([\w./-]+\.nft)/g)].map(([, name = '']) => [name, STAND_IN]),
      );
      await withFiles(files, async (folder) => {
        const configuration = parseConfiguration(text, join(folder, place.replaceAll('/', '-')));
        await compileForListing(configuration, compiler, { egress: true }, () => undefined);
      });
    }
  });
});

describe('the commands of the pages', () => {
  it('are there, with the options that they are given', async () => {
    const program = await makeProgram(() => {});
    const shown = [...pieces('code').flatMap(commandLines), ...pieces('inlineCode').flatMap(inlineCommand)];
    assert.ok(shown.length > 50, `${shown.length} found`);
    for (const { place, text } of shown) {
      const [name = '', ...words] = text.split(/\s+/);
      const first = program.commands.find((one) => one.name() === name);
      // Not everything that begins so is a command.
      if (!first && SENTENCES.some((sentence) => text.startsWith(sentence))) continue;
      assert.ok(first, `${place}: there is no command tapwall ${name}`);
      const command = first.commands.find((one) => one.name() === words[0]) ?? first;
      const missing = words.filter((word) => isOption(word) && !hasOption(command, word));
      assert.deepEqual(missing, [], `${place}: tapwall ${text}`);
    }
  });
});

describe('the help of every command', () => {
  it('has examples, and each is of a command that is there, with its options', async () => {
    const program = await makeProgram(() => {});
    for (const { name, blocks } of commandHelps(program)) {
      const examples = blocks.find((block) => block.kind === 'lines' && block.heading === 'Examples');
      assert.ok(examples?.kind === 'lines', `tapwall ${name} --help has no examples`);
      assert.ok(
        examples.lines.some((line) => line.includes(`tapwall ${name}`)),
        `tapwall ${name} --help: the examples are of something else`,
      );
    }
  });
});

describe('the error codes', () => {
  it('are in the reference, each', () => {
    const page = readFileSync(join(ROOT, 'docs/reference/errors.md'), 'utf8');
    for (const code of Object.keys(ERROR_CODES)) assert.ok(page.includes(`| \`${code}\` |`), code);
  });
});

/** `$ tapwall …` and `sudo tapwall …` of a block of code. */
function commandLines({ place, text }: Piece): Piece[] {
  return text.split('\n').flatMap((line) => {
    const [, command] = /^\s*(?:[$#] )?(?:sudo )?tapwall ([a-z].*)$/.exec(line) ?? [];
    return command === undefined ? [] : [{ place, text: withoutShell(command) }];
  });
}

function inlineCommand({ place, text }: Piece): Piece[] {
  const [, command] = /^(?:sudo )?tapwall ([a-z].*)$/s.exec(text) ?? [];
  return command === undefined ? [] : [{ place, text: withoutShell(command) }];
}

/** Up to what belongs to the shell (a pipe, a redirection, a comment), or behind `--` to another program. */
function withoutShell(command: string): string {
  return command.replace(/\s+(-- .*|[|>#;&].*)$/s, '');
}

function isOption(word: string): boolean {
  return /^--?[a-zA-Z]/.test(word);
}

function hasOption(command: Command, word: string): boolean {
  const flag = word.replace(/=.*$/, '');
  return flag === '--help' || command.options.some(({ short, long }) => short === flag || long === flag);
}
