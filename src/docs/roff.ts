/** What stands at the foot of each page. */
export interface PageFoot {
  /** The package and its version. */
  source: string;
  /** As 2026-11-26. */
  date: string;
}

/** The longest line of the input that mandoc has no word against. */
const LONGEST_LINE = 80;

/** Writes man(7) text. What is given to it is plain text in which `backticks` mean: literally so. */
export class RoffPage {
  readonly #lines: string[] = [];

  /** @param section of the manual: 5 is for files, 8 for what administrators run. */
  constructor(name: string, section: 5 | 8, { source, date }: PageFoot) {
    const words = [argument(name.toUpperCase()), section, date, argument(source), '"System Administration"'];
    this.#lines.push(`.TH ${words.join(' ')}`);
  }

  heading(text: string): this {
    this.#lines.push(`.SH ${argument(text.toUpperCase())}`);
    return this;
  }

  subheading(text: string): this {
    this.#lines.push(`.SS ${argument(text)}`);
    return this;
  }

  paragraph(text: string): this {
    const last = this.#lines.at(-1) ?? '';
    // A heading begins a paragraph itself.
    if (!/^\.S[HS] /.test(last)) this.#lines.push('.PP');
    this.#lines.push(...filled(text));
    return this;
  }

  item(term: string, text: string): this {
    this.#lines.push('.TP', `\\fB${escapeText(term)}\\fR`, ...filled(text === '' ? '\u200b' : text));
    return this;
  }

  literal(lines: readonly string[]): this {
    const last = this.#lines.at(-1) ?? '';
    if (!/^\.S[HS] /.test(last)) this.#lines.push('.PP');
    this.#lines.push('.nf', '.RS 4', ...lines.map((text) => protect(escapeText(text))), '.RE', '.fi');
    return this;
  }

  toString(): string {
    return `${this.#lines.join('\n')}\n`;
  }
}

/** Lines that man fills again. */
function filled(text: string): string[] {
  const words = escapeText(text)
    .replace(/`([^`]*)`/g, '\\fB$1\\fR')
    .split(' ');
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length >= LONGEST_LINE - 2) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines.map(protect);
}

/** A line that begins with a dot or an apostrophe would be a request. */
function protect(text: string): string {
  return /^[.']/.test(text) ? `\\&${text}` : text;
}

function escapeText(text: string): string {
  return text
    .replace(/\\/g, '\\e')
    .replace(/-/g, '\\-')
    .replace(/µ/g, '\\(mc')
    .replace(/\u200b/g, '\\&')
    .replace(/…/g, '...')
    .replace(/’/g, "'");
}

function argument(text: string): string {
  return `"${escapeText(text).replace(/"/g, '\\(dq')}"`;
}
