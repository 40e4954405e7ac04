import { loadAddon } from '../kernel/addon.js';

/** The environment that a service manager gives a service, by sd_notify(3) and sd_watchdog_enabled(3). */
export type ServiceEnvironment = Readonly<Record<string, string | undefined>>;

/** What may be told. STATUS is one line for people; the others are as sd_notify(3) has them. */
export interface ServiceState {
  READY?: '1';
  RELOADING?: '1';
  STOPPING?: '1';
  WATCHDOG?: '1';
  STATUS?: string;
  /** Microseconds of CLOCK_MONOTONIC, beside RELOADING: without it a Type=notify-reload service is not believed. */
  MONOTONIC_USEC?: string;
}

/** Sends one datagram to a Unix socket. */
export type SendDatagram = (path: string, text: string) => void;

/** A service manager waits for less time than a timer of Node's can be set to. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * The service manager that started the process, if one did: systemd, or whatever speaks sd_notify(3). It is told over a
 * datagram socket, so no program is started for it, and nothing is waited for.
 */
export class ServiceManager {
  readonly #socket: string;
  readonly #send: SendDatagram;
  /** How often WATCHDOG=1 has to come, in milliseconds: half the time after which the service is killed. */
  readonly watchdogMs: number | undefined;
  #status: string | undefined;

  private constructor(socket: string, watchdogMs: number | undefined, send: SendDatagram) {
    this.#socket = socket;
    this.watchdogMs = watchdogMs;
    this.#send = send;
  }

  /** Undefined where nobody wants to be told. */
  static from(
    environment: ServiceEnvironment,
    send: SendDatagram = sendDatagram,
  ): ServiceManager | undefined {
    const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = environment;
    // Any other kind of address (vsock:) is for virtual machines.
    if (!NOTIFY_SOCKET || !/^[/@]./.test(NOTIFY_SOCKET)) return undefined;
    const isMeant = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === process.pid;
    const microseconds = isMeant ? Number(WATCHDOG_USEC) : Number.NaN;
    const half = Math.floor(microseconds / 2_000);
    const isUsable = half >= 1 && half <= LONGEST_TIMER_MS;
    return new ServiceManager(NOTIFY_SOCKET, isUsable ? half : undefined, send);
  }

  ready(status: string): void {
    this.#status = status;
    this.#tell({ READY: '1', STATUS: status });
  }

  reloading(): void {
    const MONOTONIC_USEC = String(process.hrtime.bigint() / 1000n);
    this.#tell({ RELOADING: '1', MONOTONIC_USEC, STATUS: 'reading the configuration again' });
  }

  stopping(): void {
    this.#tell({ STOPPING: '1', STATUS: 'stopping; the filters stay' });
  }

  alive(): void {
    this.#tell({ WATCHDOG: '1' });
  }

  /** Says the status line, where it is another than before. */
  status(text: string): void {
    if (text === this.#status) return;
    this.#status = text;
    this.#tell({ STATUS: text });
  }

  #tell(state: ServiceState): void {
    const text = Object.entries(state)
      .map(([key, value]) => `${key}=${String(value).replaceAll('\n', ' ')}`)
      .join('\n');
    try {
      this.#send(this.#socket, text);
    } catch {
      // Filters must not depend on who is told of them: a manager that does not listen ends the service by itself.
    }
  }
}

function sendDatagram(path: string, text: string): void {
  loadAddon().sendDatagram(path, text);
}
