import type { Placement } from '#src/config/configuration.js';
import type { Environment } from './environment.js';
import type { Random } from './random.js';

/** A table of a report; all but the first column are figures and stand to the right. */
export interface ReportTable {
  head: string[];
  rows: string[][];
}

export interface Section {
  heading: string;
  table: ReportTable;
  notes: string[];
}

/** Something that was expected of the figures, and what became of it. */
export interface Target {
  expected: string;
  /** What was measured, in words; undefined when the run left it out. */
  measured: string | undefined;
  met: boolean;
}

export interface Axis {
  title: string;
  scale: 'linear' | 'logarithmic' | 'words';
}

/** What a report draws. Plain data: whoever draws decides how. */
export interface Chart {
  title: string;
  kind: 'lines' | 'steps' | 'bars';
  x: Axis;
  y: Axis;
  /** `words` on the x axis stand in `labels`, and the points are numbered by them from 0. */
  labels?: string[];
  series: { name: string; points: [x: number, y: number][] }[];
}

/** What one benchmark has to tell. Plain data, as it stands in the JSON; a report can be made of it at any time. */
export interface Chapter {
  name: string;
  title: string;
  /** How it was measured, one paragraph each. */
  method: string[];
  sections: Section[];
  charts: Chart[];
  targets: Target[];
  /** Where something else did better than tapwall, or tapwall costs what nothing costs: a sentence each, with figures. */
  behind: string[];
  /** All samples, and what they are samples of. */
  figures: Record<string, unknown>;
}

export interface RunOptions {
  /** Fewer samples, and fewer sizes. */
  quick: boolean;
  /** How many devices are attached already, upwards; undefined for those of the benchmark. */
  sizes: readonly number[] | undefined;
  placements: readonly Placement[];
  seed: number;
  random: Random;
  /** For files, gone after the run. */
  folder: string;
  environment: Environment;
}

/** One question that the whole benchmark answers. */
export interface Benchmark {
  /** For `--only`. */
  name: string;
  /** In words, for `--list` and the progress. */
  title: string;
  /** About how long it takes on two cores; progress goes by it. */
  seconds(options: Pick<RunOptions, 'quick'>): number;
  /** Why it can't run here; undefined if it can. */
  missing(environment: Environment): string | undefined;
  run(options: RunOptions): Promise<Chapter>;
}

/** What a whole run has to tell, as it stands in the JSON. */
export interface Report {
  environment: Environment;
  seed: number;
  quick: boolean;
  chapters: Chapter[];
  /** What could not run here or has failed, and why. */
  leftOut: { name: string; why: string }[];
}
