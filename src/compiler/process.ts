import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { TapwallError } from '../error.js';
import { canMakeNamespaces } from '../kernel/privilege.js';
import { parseAnswer } from './answer.js';
import { processorTimeMs } from './processor-time.js';
import { ANSWER_DESCRIPTOR, type Answer, type Request } from './protocol.js';

/** Compiling takes milliseconds; what takes this long is caught in one of libnftables' endless loops. */
export const DEFAULT_TIME_LIMIT_MS = 10_000;

/** How often the processor time of a request is looked at that has a limit. */
const LOOK_MS = 20;

/** How much of what the child printed before it died goes into the error. */
const LAST_WORDS = 2_000;

const CHILD = fileURLToPath(new URL('./child.js', import.meta.url));

interface Pending {
  request: Request;
  resolve(answer: Answer): void;
  reject(reason: unknown): void;
  timer: NodeJS.Timeout;
  look?: NodeJS.Timeout | undefined;
}

/** How long one request may take. */
export interface CompilerLimits {
  timeLimitMs?: number | undefined;
  /** Of the processor, once the child runs: a host that is busy does not make a loop of a request that is short. */
  processorLimitMs?: number | undefined;
}

/**
 * Who may not make a network namespace may do so inside a user namespace, and a process may enter one only before it has
 * threads: unshare(1), which every Linux distribution has, does it before Node starts. Root without CAP_SETFCAP may not
 * be root in there (Linux 5.12), but keep the capabilities that it has in there.
 */
function command(): [string, string[]] {
  if (canMakeNamespaces()) return [process.execPath, [CHILD]];
  const rights = process.geteuid?.() === 0 ? '--keep-caps' : '--map-root-user';
  return ['unshare', ['--user', rights, '--net', '--', process.execPath, CHILD]];
}

/** The child process, started when there is work, and again after it died. One request at a time. */
export class CompilerProcess {
  readonly #timeLimitMs: number;
  readonly #processorLimitMs: number | undefined;
  #child: ChildProcess | undefined;
  #pending: Pending | undefined;
  #lastWords = '';
  /** Whether the child has said that it runs: before that, no policy can be to blame for its end. */
  #ready = false;
  #queue: Promise<unknown> = Promise.resolve();

  constructor({ timeLimitMs = DEFAULT_TIME_LIMIT_MS, processorLimitMs }: CompilerLimits = {}) {
    this.#timeLimitMs = timeLimitMs;
    this.#processorLimitMs = processorLimitMs;
  }

  /** Starts the child ahead of the first request, which then waits for less. */
  warm(): void {
    if (this.#child === undefined) this.#setBusy(this.#start(), false);
  }

  /**
   * @param signal ends the child if it is busy with this request; what aborts it is the reason of the rejection.
   * @throws TapwallError COMPILER_TIMEOUT or COMPILER_CRASHED; the next request gets a new child.
   */
  run(request: Request, signal?: AbortSignal): Promise<Answer> {
    const result = this.#queue.then(async () => {
      signal?.throwIfAborted();
      // libnftables cannot be interrupted: the process that it is in can.
      const onAbort = () => this.#giveUp(signal?.reason);
      signal?.addEventListener('abort', onAbort);
      try {
        return await this.#send(request);
      } finally {
        signal?.removeEventListener('abort', onAbort);
      }
    });
    this.#queue = result.catch(() => undefined);
    return result;
  }

  close(): void {
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }

  #giveUp(reason: unknown): void {
    const child = this.#child;
    this.#fail(reason);
    child?.kill('SIGKILL');
  }

  #send(request: Request): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const child = this.#child ?? this.#start();
      const timer = setTimeout(() => this.#giveUp(tooLong(this.#timeLimitMs)), this.#timeLimitMs);
      this.#pending = { request, resolve, reject, timer };
      if (this.#ready) this.#limitProcessor(child);
      this.#setBusy(child, true);
      child.stdin?.write(`${JSON.stringify(request)}\n`);
    });
  }

  #start(): ChildProcess {
    const [program, args] = command();
    const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.#lastWords = '';
    this.#ready = false;
    child.stderr?.on('data', (data: Buffer) => {
      this.#lastWords = (this.#lastWords + data.toString()).slice(-LAST_WORDS);
    });
    // A write to a child that died is reported by its exit.
    child.stdin?.on('error', () => undefined);
    createInterface({ input: child.stdio[ANSWER_DESCRIPTOR] as Readable }).on('line', (line) => {
      this.#hear(child, line);
    });
    child.on('error', (cause) => {
      this.#gone(
        child,
        new TapwallError('COMPILER_CRASHED', `cannot start ${program}: ${cause.message}`, { cause }),
      );
    });
    // 'close' comes after the last of its output, so its last words are complete.
    child.on('close', (status, signal) => this.#gone(child, this.#explainEnd(status, signal)));
    return child;
  }

  #explainEnd(status: number | null, signal: NodeJS.Signals | null): TapwallError {
    const end = signal === null ? `ended its process with status ${status}` : `died of ${signal}`;
    const words = this.#lastWords.trim() === '' ? '' : `: ${this.#lastWords.trim()}`;
    if (this.#ready) {
      return new TapwallError('COMPILER_CRASHED', `libnftables ${end}${words}`, {
        hint: 'This is a defect of libnftables that a rule of the policy brings out; nothing was changed.',
      });
    }
    return new TapwallError('NOT_SUPPORTED', `the compiler's process could not start; it ${end}${words}`, {
      hint: 'An ordinary user needs unprivileged user namespaces (user_namespaces(7)); root does not.',
    });
  }

  #hear(child: ChildProcess, line: string): void {
    try {
      const message = parseAnswer(line);
      if ('ready' in message) {
        this.#ready = true;
        this.#limitProcessor(child);
      } else this.#answer(child, message);
    } catch (error) {
      if (!(error instanceof TapwallError)) throw error;
      child.kill('SIGKILL');
      this.#gone(child, error);
    }
  }

  #answer(child: ChildProcess, answer: Answer): void {
    const pending = this.#pending;
    if (!pending || answer.id !== pending.request.id) return;
    this.#pending = undefined;
    stopTimers(pending);
    this.#setBusy(child, false);
    pending.resolve(answer);
  }

  #gone(child: ChildProcess, error: TapwallError): void {
    if (this.#child === child) this.#child = undefined;
    else return;
    this.#fail(error);
  }

  #fail(reason: unknown): void {
    const pending = this.#pending;
    this.#child = undefined;
    if (!pending) return;
    this.#pending = undefined;
    stopTimers(pending);
    pending.reject(reason);
  }

  /** Watches the processor time that the request takes from now on. */
  #limitProcessor({ pid }: ChildProcess): void {
    const [pending, limit] = [this.#pending, this.#processorLimitMs];
    if (!pending || limit === undefined || pid === undefined || pending.look) return;
    const start = processorTimeMs(pid);
    if (start === undefined) return;
    pending.look = setInterval(() => {
      if ((processorTimeMs(pid) ?? start) - start > limit) this.#giveUp(tooLong(limit));
    }, LOOK_MS);
  }

  /** An idle child does not keep its parent running; it ends when its standard input does. */
  #setBusy(child: ChildProcess, busy: boolean): void {
    const handles = [child, child.stdin, child.stderr, child.stdio[ANSWER_DESCRIPTOR]] as unknown as {
      ref?(): void;
      unref?(): void;
    }[];
    for (const handle of handles) {
      if (busy) handle.ref?.();
      else handle.unref?.();
    }
  }
}

function stopTimers({ timer, look }: Pending): void {
  clearTimeout(timer);
  clearInterval(look);
}

function tooLong(limitMs: number): TapwallError {
  return new TapwallError('COMPILER_TIMEOUT', `the policy did not compile within ${limitMs} ms`, {
    hint: 'libnftables loops for ever on some rules; take rules away until it compiles to find which.',
  });
}
