import { locate, type PolicyText } from '../config/configuration.js';
import type { SourceLocation } from '../error.js';

/** From a place in rendered text to the place in the configuration that it came from. */
export interface SourceMap {
  /**
   * @param line from 1
   * @param column from 1 and in bytes of UTF-8, as nft counts
   * @returns undefined for what tapwall itself wrote
   */
  locate(line: number, column: number): SourceLocation | undefined;
}

/** Where one line came from: from a place as a whole, or column for column from a line of rules. */
type Origin = SourceLocation | { rules: PolicyText; line: number };

/** nft text that grows line by line and remembers which lines are the user's. */
export class MappedText {
  readonly #lines: string[] = [];
  readonly #origins = new Map<number, Origin>();

  add(...lines: string[]): void {
    for (const line of lines) this.#lines.push(line);
  }

  /** Adds a line that says what stands at one place of the configuration. */
  addFrom(location: SourceLocation, line: string): void {
    this.#lines.push(line);
    this.#origins.set(this.#lines.length, location);
  }

  /** Adds rules verbatim and on lines of their own, so that a line of nft's maps to a line of the user's. */
  addRules(rules: PolicyText): void {
    for (const [at, line] of rules.text.replace(/\n$/, '').split('\n').entries()) {
      this.#lines.push(line);
      this.#origins.set(this.#lines.length, { rules, line: at + 1 });
    }
  }

  get text(): string {
    return `${this.#lines.join('\n')}\n`;
  }

  get sourceMap(): SourceMap {
    return {
      locate: (line, column) => {
        const origin = this.#origins.get(line);
        if (!origin || !('rules' in origin)) return origin;
        return locate(origin.rules, origin.line, unitColumn(this.#lines[line - 1] ?? '', column));
      },
    };
  }
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
