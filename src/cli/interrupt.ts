import { UserLlmError } from "../errors.js";
import { interruptExitCodes } from "./exit-code.js";
import type { Host, Interrupt } from "./host.js";

/** Why work was stopped; the reason of its `AbortSignal`. */
export class Interrupted extends UserLlmError {
  constructor(signal: Interrupt) {
    super("ERR_INTERRUPTED", `stopped by ${signal}`);
  }
}

/** What work is under the eyes of while signals are watched. */
export interface InterruptWatch {
  readonly signal: AbortSignal;
  /** The first signal that came. */
  readonly interrupt: Interrupt | undefined;
  stop(): void;
}

/** npm and npx pass on a signal that the terminal has given to us as well: so soon after the first, it is no second. */
const echoMs = 300;

/** The first Ctrl-C (or SIGTERM) asks the work to stop, so that it can leave things in order; a second one quits. */
export function watchInterrupts(host: Host, onFirst: (signal: Interrupt) => void): InterruptWatch {
  const controller = new AbortController();
  let interrupt: Interrupt | undefined;
  let came = 0;
  const stop = host.onInterrupt((signal) => {
    const now = performance.now();
    if (interrupt !== undefined) {
      if (now - came > echoMs) host.quit(interruptExitCodes[signal]);
      return;
    }
    interrupt = signal;
    came = now;
    onFirst(signal);
    controller.abort(new Interrupted(signal));
  });
  return {
    signal: controller.signal,
    get interrupt() {
      return interrupt;
    },
    stop,
  };
}
