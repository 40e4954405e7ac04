import type { Problem } from '../error.js';
import { ElementReader } from './element-reader.js';
import { type ElementFlaw, readElement, type SetType } from './set-element.js';
import { quote } from './suggest.js';

/** More would take the kernel's commit lock, for which every new link waits, for more than some seconds. */
export const MOST_ELEMENTS = 1 << 22;

/** More would bury the first, which is where a person begins. */
const MOST_PROBLEMS = 100;
/** A longer line says nothing to a reader. */
const LONGEST_SHOWN_LINE = 1000;
/** Bytes of a line with a short address: the reader makes room for as many elements. */
const SHORT_LINE = 12;

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const HASH = 0x23;
const BLANK = 0x20;
const TAB = 0x09;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/** Reads a list of elements, one to a line, with comments behind `#`. */
export class ElementList {
  readonly problems: Problem[] = [];
  readonly reader: ElementReader;
  readonly #bytes: Uint8Array;
  readonly #file: string;
  readonly #type: SetType;
  #left = 0;

  /** @param file its name in messages. */
  constructor(bytes: Uint8Array, file: string, type: SetType) {
    this.#bytes = bytes;
    this.#file = file;
    this.#type = type;
    this.reader = new ElementReader(type, Math.ceil(bytes.length / SHORT_LINE));
    this.#read();
  }

  /** Nothing is made a string that is right: there may be a million lines. */
  #read(): void {
    const bytes = this.#bytes;
    let line = 1;
    let start = BYTE_ORDER_MARK.every((byte, at) => bytes[at] === byte) ? BYTE_ORDER_MARK.length : 0;
    while (start < bytes.length) {
      let end = bytes.indexOf(NEWLINE, start);
      if (end < 0) end = bytes.length;
      let [first, last] = [start, start];
      // To the comment, or to the end.
      while (last < end && bytes[last] !== HASH) last++;
      while (first < last && isBlank(bytes[first])) first++;
      while (last > first && isBlank(bytes[last - 1])) last--;
      if (first < last && this.reader.read(bytes, first, last) !== 'read') {
        this.#refuse({ line, start, end }, first, last);
      }
      if (this.reader.count > MOST_ELEMENTS) {
        const message = `more than ${MOST_ELEMENTS.toLocaleString('en')} elements`;
        this.#report({ line, start, end }, first, last, { flaw: message });
        return;
      }
      start = end + 1;
      line++;
    }
    if (this.#left > 0) {
      this.problems.push({
        ...this.problems.at(-1),
        message: `and ${this.#left} more problems in this file`,
      });
    }
  }

  #refuse(line: Line, first: number, last: number): void {
    if (this.problems.length === MOST_PROBLEMS) {
      this.#left++;
      return;
    }
    this.#report(line, first, last, this.#flawIn(textOf(this.#bytes, first, last)));
  }

  #flawIn(text: string): ElementFlaw {
    const element = readElement(text, this.#type);
    if ('flaw' in element) return element;
    const { parts } = this.#type;
    if (element.isInterval && parts.length === 1)
      return { flaw: `the range ${quote(text)} ends before it begins` };
    return element.isInterval
      ? {
          flaw: `${quote(text)}: in a file an element of several parts has a value for each`,
          hint: 'List prefixes and ranges of several parts under `elements`, in the configuration.',
        }
      : {
          flaw: `${quote(text)} is for nft alone to read`,
          hint: 'In a file write it as a number, without zeros before it.',
        };
  }

  #report({ line, start, end }: Line, first: number, last: number, { flaw, hint }: ElementFlaw): void {
    const sourceLine = textOf(this.#bytes, start, end).replace(/\r$/, '');
    this.problems.push({
      message: flaw,
      location: { file: this.#file, line, column: textOf(this.#bytes, start, first).length + 1 },
      length: Math.max(1, textOf(this.#bytes, first, last).length),
      ...(sourceLine.length <= LONGEST_SHOWN_LINE ? { sourceLine } : {}),
      ...(hint === undefined ? {} : { hint }),
    });
  }
}

/** Where a line is: its number from 1, and its bytes. */
interface Line {
  line: number;
  start: number;
  end: number;
}

function isBlank(byte: number | undefined): boolean {
  return byte === BLANK || byte === TAB || byte === RETURN;
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString();
}
