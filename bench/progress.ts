import { Presets, SingleBar } from 'cli-progress';
import type { Benchmark } from './chapter.js';

const { stderr } = process;
const REFRESH_MS = 500;

/** How far a run is, by how long its parts are known to take: a bar on a terminal, a line for each part elsewhere. */
class Progress {
  readonly #bar: SingleBar | undefined;
  readonly #seconds: readonly number[];
  readonly #titles: readonly string[];
  #part = -1;
  #partStart = 0;
  #timer: NodeJS.Timeout | undefined;
  #text = '';

  constructor(parts: readonly { title: string; seconds: number }[]) {
    this.#seconds = parts.map(({ seconds }) => seconds);
    this.#titles = parts.map(({ title }) => title);
    if (!stderr.isTTY) return;
    const format = '{bar} {percentage}% | {left} left | {text}';
    this.#bar = new SingleBar(
      { format, stream: stderr, hideCursor: true, clearOnComplete: true },
      Presets.rect,
    );
    this.#bar.start(this.#total, 0, { left: '', text: '' });
    this.#timer = setInterval(() => this.#draw(), REFRESH_MS).unref();
  }

  /** The next part begins. */
  next(): void {
    this.#part++;
    this.#partStart = performance.now();
    this.tell('');
    if (this.#bar) return;
    const about = Math.ceil(this.#left / 5) * 5;
    stderr.write(
      `[${this.#part + 1}/${this.#titles.length}] ${this.#title} (about ${about} s left in all)\n`,
    );
  }

  tell(text: string): void {
    this.#text = text;
    this.#draw();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#bar?.stop();
  }

  get #title(): string {
    return this.#titles[this.#part] ?? '';
  }

  get #total(): number {
    return this.#seconds.reduce((sum, seconds) => sum + seconds, 0);
  }

  /** Seconds of all parts up to this one, and of this one no more than it was to take. */
  get #done(): number {
    const before = this.#seconds.slice(0, Math.max(0, this.#part)).reduce((sum, seconds) => sum + seconds, 0);
    const inPart = (performance.now() - this.#partStart) / 1000;
    return before + Math.min(inPart, this.#seconds[this.#part] ?? 0);
  }

  get #left(): number {
    return Math.max(0, this.#total - this.#done);
  }

  #draw(): void {
    const left = `${Math.ceil(this.#left)} s`;
    this.#bar?.update(this.#done, { left, text: [this.#title, this.#text].filter(Boolean).join(': ') });
  }
}

let current: Progress | undefined;

/** Begins to tell how far a run of these benchmarks is. @returns what says that the next one begins. */
export function startProgress(benchmarks: readonly Benchmark[], quick: boolean): () => void {
  current = new Progress(benchmarks.map((one) => ({ title: one.title, seconds: one.seconds({ quick }) })));
  return () => current?.next();
}

/** Says what of the present part is being measured. */
export function showProgress(text: string): void {
  current?.tell(text);
}

export function clearProgress(): void {
  current?.end();
  current = undefined;
}
