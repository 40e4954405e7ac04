import { once } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { TapwallError } from '../error.js';
import type { Kernel, Waker } from '../kernel/kernel.js';
import type { Plan } from './plan.js';
import { Tally } from './tally.js';
import type { WorkerCommand, WorkerMessage, WorkerStart } from './worker.js';

/**
 * Where new objects are made, in the agent's thread; V8 divides it by three. It would let that grow to 48 MB, and until
 * it has grown each attach meets memory that was never touched, whose page faults take longer than all else.
 */
export const YOUNG_GENERATION_MB = 3;

/** Who hears of what the thread says, and of its end. */
export interface ThreadListener {
  onMessage(message: WorkerMessage): void;
  onError(error: TapwallError): void;
  onExit(): void;
}

/**
 * The agent's thread, from outside. It reads its code while the configuration is compiled, which takes about as long, and
 * begins when it is given the plan.
 */
export class AgentThread {
  /** What the thread counts of its own work. */
  readonly tally = new Tally();
  readonly #worker: Worker;
  readonly #commands: MessagePort;
  readonly #waker: Waker;
  #listener: ThreadListener | undefined;
  #failure: TapwallError | undefined;
  #hasEnded = false;
  // A worker that blocks is not interrupted by process.exit(), which would wait for it.
  readonly #onExit = () => this.send({ command: 'stop', detach: false });

  /** @param namespacePath of the agent's own network namespace; undefined for that of the process. */
  constructor(kernel: Kernel, namespacePath: string | undefined) {
    this.#waker = kernel.createWaker();
    const { port1, port2 } = new MessageChannel();
    this.#commands = port1;
    port1.unref();
    const workerData: WorkerStart = {
      namespacePath,
      wakerFd: this.#waker.fd,
      tallied: this.tally.buffer,
      commands: port2,
    };
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData,
      transferList: [port2],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
      // Of the flags of this process a worker may have some and is refused for others, such as those of V8, which hold
      // for all threads anyway. This one it needs, for what its errors say.
      execArgv: process.execArgv.filter((argument) => argument === '--enable-source-maps'),
    });
    this.#worker.on('message', (message: WorkerMessage) => this.#listener?.onMessage(message));
    this.#worker.on('error', (cause) => {
      this.#failure = new TapwallError('UNKNOWN', cause.message, { cause });
      this.#listener?.onError(this.#failure);
    });
    this.#worker.on('exit', () => this.#end());
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Lets it begin. A thread that has failed by then says so now. */
  begin(plan: Plan, listener: ThreadListener): void {
    this.#listener = listener;
    if (this.#hasEnded) {
      if (this.#failure) listener.onError(this.#failure);
      listener.onExit();
      return;
    }
    process.once('exit', this.#onExit);
    this.#worker.postMessage(plan);
  }

  send(command: WorkerCommand): void {
    if (this.#hasEnded) return;
    this.#commands.postMessage(command);
    this.#waker.signal();
  }

  /** Resolves when it has ended, and with it what has begun. */
  async stop(options: { detach: boolean }): Promise<void> {
    if (this.#hasEnded) return;
    const exited = once(this.#worker, 'exit');
    if (this.#listener) this.send({ command: 'stop', ...options });
    else await this.#worker.terminate();
    await exited;
  }

  #end(): void {
    this.#hasEnded = true;
    process.off('exit', this.#onExit);
    this.#commands.close();
    this.#waker.close();
    this.#listener?.onExit();
  }
}
