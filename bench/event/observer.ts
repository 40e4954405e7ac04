import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Lab } from '#src/demo/lab.js';

/** How the devices are made: each when the one before is filtered, or all in a row. */
export type Pace = 'paced' | 'burst';

/** What a device's filter is known by: a table of its own, or the element that gives it a policy; `none` waits for none. */
export type Sign = 'table' | 'element' | 'none';

/** What was seen of one device, in nanoseconds of one clock. */
export interface Observation {
  index: number;
  /** When the first notification of the device was had. */
  seen: number;
  /** When the notification of its filter was had, which is sent behind the commit; undefined if none was. */
  filtered: number | undefined;
  /** When the request that made the device was sent, and when its answer was there. */
  requested: number;
  made: number;
}

export interface Observations {
  devices: Observation[];
  /** Whether notifications were lost. */
  lost: boolean;
  /** The observer's real-time priority; 0 when it was not given one, and then it may see things late. */
  priority: number;
}

const OBSERVER = fileURLToPath(new URL('./observer', import.meta.url));

/** The outside observer: a process that makes devices and sees how long each is without its filter. */
export class Observer {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;
  readonly #ended: Promise<[number | null]>;

  private constructor(args: readonly string[]) {
    this.#child = spawn(OBSERVER, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#ended = once(this.#child, 'close') as Promise<[number | null]>;
    // A write to a process that has ended is reported by its end.
    this.#child.stdin.on('error', () => undefined);
  }

  /** Starts it, and resolves when it listens. */
  static async start(
    { namespacePath, parent }: Pick<Lab, 'namespacePath' | 'parent'>,
    devices: number,
    pace: Pace,
    sign: Sign,
  ): Promise<Observer> {
    const observer = new Observer([namespacePath, parent, String(devices), pace, sign]);
    const ended = observer.#ended.then(([status]) => Promise.reject(failure(status)));
    await Promise.race([once(observer.#lines, 'line'), ended]);
    return observer;
  }

  /** Makes the devices, and resolves when all have been seen, or nothing has been for ten seconds. */
  async run(): Promise<Observations> {
    const lines: string[] = [];
    this.#lines.on('line', (line) => lines.push(line));
    this.#child.stdin.write('go\n');
    const [status] = await this.#ended;
    if (status !== 0) throw failure(status);
    return parseObservations(lines);
  }

  close(): void {
    this.#child.stdin.end();
  }
}

function failure(status: number | null): Error {
  return new Error(`the observer ended with ${status}`);
}

function parseObservations(lines: readonly string[]): Observations {
  const links: { index: number; time: number; name: string }[] = [];
  const filters = new Map<number, number>();
  const creations: { requested: number; made: number }[] = [];
  let lost = false;
  let priority = 0;
  for (const line of lines) {
    const [kind, ...fields] = line.split(' ');
    const [first = Number.NaN, second = Number.NaN] = fields.map(Number);
    if (kind === 'link') links.push({ time: first, index: second, name: fields[2] ?? '' });
    else if (kind === 'filter') filters.set(second, first);
    else if (kind === 'create') creations.push({ requested: first, made: second });
    else if (kind === 'lost') lost = true;
    else if (kind === 'priority') priority = first;
  }
  const devices = links.map(({ index, time, name }) => {
    // macvtap0 is the first that was made, and so on.
    const creation = creations[Number(name.replace(/^\D+/, ''))];
    if (!creation) throw new Error(`${name} was seen and not made`);
    return { index, seen: time, filtered: filters.get(index), ...creation };
  });
  return { devices, lost, priority };
}
