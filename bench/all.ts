import { attach } from './attach/chapter.js';
import { busy } from './busy/chapter.js';
import type { Benchmark } from './chapter.js';
import { event } from './event/chapter.js';
import { flat } from './flat/chapter.js';
import { leak } from './leak/chapter.js';
import { memory } from './memory/chapter.js';
import { namespaces } from './namespaces/chapter.js';
import { packet } from './packet/chapter.js';
import { reload } from './reload/chapter.js';
import { restart } from './restart/chapter.js';
import { watched } from './scrape/chapter.js';
import { sets } from './sets/chapter.js';
import { storm } from './storm/chapter.js';

/** In the order of the report. */
export const BENCHMARKS: readonly Benchmark[] = [
  attach,
  flat,
  event,
  storm,
  leak,
  memory,
  restart,
  namespaces,
  reload,
  sets,
  packet,
  busy,
  watched,
];
