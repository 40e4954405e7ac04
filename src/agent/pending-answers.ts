import { TapwallError } from '../error.js';

interface Waiting {
  resolve(answer: unknown): void;
  reject(error: TapwallError): void;
}

/** What was asked of the agent's thread and has not been answered. */
export class PendingAnswers {
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  /** @typeParam Answer what the thread answers to this question. */
  open<Answer>(): { id: number; answer: Promise<Answer> } {
    const id = ++this.#last;
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#waiting.set(id, { resolve: (one) => resolve(one as Answer), reject });
    });
    return { id, answer };
  }

  settle(id: number, answer: unknown): void {
    this.#take(id)?.resolve(answer);
  }

  refuse(id: number, error: TapwallError): void {
    this.#take(id)?.reject(error);
  }

  /** The thread has ended: nothing will be answered any more. */
  close(): void {
    for (const id of [...this.#waiting.keys()]) {
      this.refuse(id, new TapwallError('STOPPED', 'the agent has stopped'));
    }
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }
}
