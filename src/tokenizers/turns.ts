import { setImmediate } from "node:timers/promises";

/** Time after which others get the event loop. */
const turnMs = 15;

/**
 * Lets others have the event loop during long work in JavaScript.
 *
 *     const turns = new Turns(signal);
 *     for (const piece of work) {
 *       do(piece);
 *       if (turns.over) await turns.next();
 *     }
 */
export class Turns {
  #began = performance.now();

  constructor(readonly signal?: AbortSignal | undefined) {
    signal?.throwIfAborted();
  }

  get over(): boolean {
    return performance.now() - this.#began > turnMs;
  }

  /** @throws the signal's reason once that is aborted */
  async next(): Promise<void> {
    await setImmediate();
    this.signal?.throwIfAborted();
    this.#began = performance.now();
  }
}
