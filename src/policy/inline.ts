import type { InlinePolicy, PolicyText } from '../config/configuration.js';
import { locate } from '../config/configuration.js';
import { SourceError, type SourceLocation } from '../error.js';
import { checkChainText } from './chain-text.js';
import { DEVICE_VARIABLE } from './variable.js';

export interface InlineOptions {
  /** Which hooks the kernel has. Every kernel with netdev chains has ingress. */
  hooks: { egress: boolean };
}

/** A policy of the configuration as one nft file. */
export interface InlineSource {
  /** Takes the variable `$intf` and those of the policy: whoever compiles it defines them, as for any file. */
  text: string;
  sourceMap: SourceMap;
}

/** From a place in the rendered text to the place in the configuration that it came from. */
export interface SourceMap {
  /**
   * @param line from 1
   * @param column from 1 and in bytes of UTF-8, as nft counts
   * @returns undefined for what tapwall itself wrote
   */
  locate(line: number, column: number): SourceLocation | undefined;
}

/** Name of the table that an inline policy makes; `ingress` and `egress` are its chains. */
export const INLINE_TABLE = 'tapwall';

/**
 * Renders an inline policy for one device. Both directions always get a chain, so that `default: drop` holds for
 * a direction without rules as well; egress is left out only where the kernel has no such hook.
 * @throws SourceError POLICY when rules reach beyond their chain.
 */
export function renderInline(policy: InlinePolicy, { hooks }: InlineOptions): InlineSource {
  const directions = (hooks.egress ? (['ingress', 'egress'] as const) : (['ingress'] as const)).map(
    (hook) => ({
      hook,
      rules: policy[hook],
    }),
  );
  const problems = directions.flatMap(({ rules }) => (rules ? checkChainText(rules) : []));
  if (problems.length > 0) throw new SourceError('POLICY', problems);

  const lines = [`table netdev ${INLINE_TABLE} {`];
  const insertions: Insertion[] = [];
  for (const { hook, rules } of directions) {
    lines.push(
      `\tchain ${hook} {`,
      `\t\ttype filter hook ${hook} device $${DEVICE_VARIABLE} priority filter; policy ${policy.default};`,
    );
    if (rules) {
      // Verbatim and on lines of their own, so that a line of nft's maps to a line of the user's.
      const userLines = rules.text.replace(/\n$/, '').split('\n');
      insertions.push({ firstLine: lines.length + 1, lines: userLines, rules });
      lines.push(...userLines);
    }
    lines.push('\t}');
  }
  lines.push('}', '');
  return {
    text: lines.join('\n'),
    sourceMap: { locate: (line, column) => locateInserted(insertions, line, column) },
  };
}

/** Where the rules of one direction stand in the rendered text. */
interface Insertion {
  firstLine: number;
  lines: readonly string[];
  rules: PolicyText;
}

function locateInserted(
  insertions: readonly Insertion[],
  line: number,
  column: number,
): SourceLocation | undefined {
  for (const { firstLine, lines, rules } of insertions) {
    const text = lines[line - firstLine];
    if (text !== undefined) return locate(rules, line - firstLine + 1, unitColumn(text, column));
  }
  return undefined;
}

/** A column in bytes as one in UTF-16 units; the end of the line if it lies behind. */
function unitColumn(line: string, byteColumn: number): number {
  let bytes = 0;
  let units = 0;
  for (const character of line) {
    bytes += Buffer.byteLength(character);
    if (bytes >= byteColumn) break;
    units += character.length;
  }
  return units + 1;
}
