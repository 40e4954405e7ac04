import { TapwallError } from '../error.js';

const NEWLINE = 0x0a;

/** Takes a stream of bytes apart into lines, none longer than a limit. */
export class LineReader {
  readonly #most: number;
  #parts: Uint8Array[] = [];
  #length = 0;

  /** @param most bytes of one line, without its newline. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Whether a line has begun and not ended. */
  get isInside(): boolean {
    return this.#length > 0;
  }

  /**
   * @returns the lines that end in a chunk.
   * @throws TapwallError TOO_LONG; nothing that comes after can be read.
   */
  add(chunk: Uint8Array): Uint8Array[] {
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      lines.push(this.#finish(chunk.subarray(start, end)));
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return lines;
  }

  #finish(last: Uint8Array): Uint8Array {
    this.#keep(last);
    const line = this.#parts.length === 1 && this.#parts[0] ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#length = 0;
    return line;
  }

  #keep(part: Uint8Array): void {
    if (part.length === 0) return;
    this.#length += part.length;
    if (this.#length > this.#most) {
      throw new TapwallError('TOO_LONG', `a line of more than ${this.#most} bytes`);
    }
    // A copy: a chunk of a few bytes may be a piece of a large buffer.
    this.#parts.push(Uint8Array.from(part));
  }
}
