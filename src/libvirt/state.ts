import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setImmediate as breath } from 'node:timers/promises';
import type { AgentEvent } from '../agent/event.js';
import type { AgentRequest, DeviceAnswer } from '../agent/request.js';
import { TapwallError } from '../error.js';
import { readUserFile, Unreadable } from '../files/read.js';
import { refuseDoubts } from '../files/trust.js';
import type { Domain } from './domain.js';

/** The agent that is told. */
export interface StateAgent {
  readonly configuration: { readonly domainPolicies: readonly string[] };
  ask(request: AgentRequest): Promise<DeviceAnswer[]>;
  on(name: 'event', listener: (event: AgentEvent) => void): unknown;
  off(name: 'event', listener: (event: AgentEvent) => void): unknown;
}

/** How long a file that was written counts for a device that the agent sees later. */
const RECENT_MS = 10_000;

/**
 * Reads whose devices are, where no hook tells: libvirt calls none when an interface is plugged in, and an agent that
 * starts for the first time has heard none. libvirt keeps the state of each guest that runs in a file, which it writes
 * anew when something of the guest has changed (qemuDomainSaveStatus()): that of an interface that is plugged in when the
 * device is up and the guest has it. Until then it is a device of nobody's, and closed under `prefix` and `names`.
 * What a hook, or anybody else, has told of a device stays.
 */
export class LibvirtState {
  readonly #folder: string;
  readonly #agent: StateAgent;
  readonly #notice: (message: string) => void;
  readonly #now: () => number;
  #watcher: FSWatcher | undefined;
  /** Names of files that have to be read. */
  readonly #changed = new Set<string>();
  /** When each file was last written. */
  readonly #recent = new Map<string, number>();
  /** What was said of a device, by index: once. */
  readonly #said = new Map<number, string>();
  #reading: Promise<void> | undefined;
  #closed = false;
  readonly #onEvent = ({ event }: AgentEvent) => {
    // A device that is new to the agent: libvirt may have written of it before.
    if (event === 'attached' || event === 'unmatched' || event === 'failed') this.#readRecent();
  };

  constructor(
    folder: string,
    agent: StateAgent,
    notice: (message: string) => void,
    now: () => number = () => performance.now(),
  ) {
    this.#folder = folder;
    this.#agent = agent;
    this.#notice = notice;
    this.#now = now;
    agent.on('event', this.#onEvent);
    this.#watch();
  }

  /** Resolves when all that has been written until now has been read. */
  async settled(): Promise<void> {
    while (this.#reading) await this.#reading;
  }

  close(): void {
    this.#closed = true;
    this.#agent.off('event', this.#onEvent);
    this.#watcher?.close();
  }

  /** Watches the folder; where there is none yet, the place where the next of its path will be. */
  #watch(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    let place = this.#folder;
    let missing: string | undefined;
    for (;;) {
      try {
        const [here, next] = [place, missing];
        this.#watcher = watch(here, { persistent: false }, (_kind, name) => this.#heard(here, next, name));
        this.#watcher.on('error', ({ message }) => this.#notice(`cannot watch ${here}: ${message}`));
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        if (code === 'ENOENT' && place !== dirname(place)) {
          missing = place;
          place = dirname(place);
          continue;
        }
        this.#notice(
          `it will not be known whose devices are that are plugged in: cannot watch ${place}: ${message}`,
        );
        return;
      }
      if (missing === undefined) {
        this.#readAll();
        return;
      }
      if (!isThere(missing)) return;
      // It has come between the look and the watch.
      this.#watcher.close();
      [place, missing] = [this.#folder, undefined];
    }
  }

  /** @param next what will be there on the way to the folder; undefined for the folder itself. */
  #heard(place: string, next: string | undefined, name: string | null): void {
    if (this.#closed) return;
    // What is told last of a folder that was removed has its own name.
    const isGone = name === basename(place) && !isThere(place);
    if (isGone || (next !== undefined && (name === null || name === basename(next)))) this.#watch();
    else if (next !== undefined) return;
    else if (name === null) this.#readAll();
    else if (isState(name)) this.#read([name]);
  }

  #readAll(): void {
    try {
      this.#read(readdirSync(this.#folder).filter(isState));
    } catch (error) {
      this.#notice(`cannot read ${this.#folder}: ${(error as Error).message}`);
    }
  }

  #read(names: readonly string[]): void {
    const now = this.#now();
    for (const [name, at] of this.#recent) if (now - at > RECENT_MS) this.#recent.delete(name);
    for (const name of names) {
      this.#recent.set(name, now);
      this.#changed.add(name);
    }
    this.#begin();
  }

  #readRecent(): void {
    const now = this.#now();
    for (const [name, at] of this.#recent) if (now - at <= RECENT_MS) this.#changed.add(name);
    this.#begin();
  }

  /** One reading at a time: what changes meanwhile is read after it. */
  #begin(): void {
    if (this.#reading || this.#changed.size === 0) return;
    this.#reading = this.#readChanged()
      .catch((error: unknown) => {
        // An agent that has stopped knows no devices.
        if (!(error instanceof TapwallError)) throw error;
        if (!this.#closed && error.code !== 'STOPPED') this.#notice(error.message);
      })
      .finally(() => {
        this.#reading = undefined;
        if (!this.#closed) this.#begin();
      });
  }

  async #readChanged(): Promise<void> {
    const names = [...this.#changed];
    this.#changed.clear();
    const untold = await this.#agent.ask({ request: 'devices', untold: true });
    const indexes = new Set(untold.map(({ index }) => index));
    for (const index of this.#said.keys()) if (!indexes.has(index)) this.#said.delete(index);
    if (untold.length === 0) return;
    for (const name of names) {
      await breath();
      const text = this.#textOf(name);
      const meant = untold.filter(({ device }) => text?.includes(device));
      if (text !== undefined && meant.length > 0) await this.#tell(name, text, meant);
    }
  }

  /** @returns undefined for the file of a guest that has ended, or that cannot be trusted. */
  #textOf(name: string): string | undefined {
    const file = join(this.#folder, name);
    try {
      return readUserFile(file, refuseDoubts).toString('utf8');
    } catch (error) {
      if (error instanceof TapwallError) this.#notice(`whose devices are is not read: ${error.message}`);
      else if (!(error instanceof Unreadable)) throw error;
      else if (isThere(file)) this.#notice(`cannot read ${file}: ${error.message}`);
      return undefined;
    }
  }

  async #tell(name: string, text: string, untold: readonly DeviceAnswer[]): Promise<void> {
    // Hosts without libvirt never read XML.
    const [{ parseState }, { toldDevice }] = await Promise.all([import('./domain.js'), import('./hook.js')]);
    let domain: Domain;
    try {
      domain = parseState(text);
    } catch (error) {
      if (!(error instanceof TapwallError)) throw error;
      for (const one of untold) this.#say(one, `${join(this.#folder, name)}: ${error.message}`);
      return;
    }
    for (const answer of untold) {
      const found = domain.interfaces.find(({ device }) => device === answer.device);
      if (!found) continue;
      try {
        const guest = { name: domain.name, uuid: domain.uuid };
        const devices = [toldDevice(found, this.#agent.configuration.domainPolicies)];
        await this.#agent.ask({ request: 'admit', guest, devices, expectMs: 0, onlyUntold: true });
      } catch (error) {
        if (!(error instanceof TapwallError) || error.code === 'STOPPED') throw error;
        this.#say(answer, `${answer.device} of ${domain.name}: ${error.message}`);
      }
    }
  }

  #say({ index }: DeviceAnswer, message: string): void {
    if (index === undefined || this.#said.get(index) === message) return;
    this.#said.set(index, message);
    this.#notice(message);
  }
}

/** What is written aside first has another ending. */
function isState(name: string): boolean {
  return name.endsWith('.xml');
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}
