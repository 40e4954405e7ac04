import type { Tap } from '#src/demo/tap.js';

const BURST = 50;

/** Sends frames that must be dropped without a pause, and counts those that arrive. */
export class Flood {
  sent = 0;
  passed = 0;
  #isOn = true;
  readonly #done: Promise<void>;

  /** @param shots what is sent, and from where; packets of `packet()`, so that they are told from others. */
  constructor(taps: readonly Tap[], shots: readonly { from: Tap; frame: Uint8Array }[]) {
    for (const tap of taps) while (tap.receive());
    this.#done = this.#send(taps, shots);
  }

  async stop(): Promise<void> {
    this.#isOn = false;
    await this.#done;
  }

  async #send(taps: readonly Tap[], shots: readonly { from: Tap; frame: Uint8Array }[]): Promise<void> {
    while (this.#isOn) {
      for (let burst = 0; burst < BURST; burst++) {
        for (const { from, frame } of shots) from.send(frame);
        this.sent += shots.length;
      }
      for (const tap of taps) {
        for (let frame = tap.receive(); frame; frame = tap.receive()) {
          if (frame.includes('<test-frame-')) this.passed++;
        }
      }
      await new Promise(setImmediate);
    }
  }
}
