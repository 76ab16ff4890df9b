/** What a run of the command line has around it. `main.ts` gives it the process; tests give it streams of their own. */
import type { Writable } from "node:stream";

/** A stream to write on, a terminal or not. */
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

export interface Host {
  /** Results. */
  readonly stdout: Output;
  /** Everything for people: progress, notes, errors. */
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Calls back at every SIGINT and SIGTERM; the result stops that. */
  onInterrupt(listener: (signal: Interrupt) => void): () => void;
  /** Quits at once, whatever is going on. */
  quit(exitCode: number): void;
}

export type Interrupt = "SIGINT" | "SIGTERM";

const interrupts: readonly Interrupt[] = ["SIGINT", "SIGTERM"];

export const processHost: Host = {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  onInterrupt(listener) {
    for (const signal of interrupts) process.on(signal, listener);
    return () => {
      for (const signal of interrupts) process.off(signal, listener);
    };
  },
  quit: (exitCode) => process.exit(exitCode),
};
