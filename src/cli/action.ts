/**
 * What every command's action runs in. A command file gives a function from its arguments to a `Result`; streams, JSON,
 * progress, signals, errors and exit codes are here.
 */

import { inspect } from "node:util";
import type { Command, CommandUnknownOpts } from "@commander-js/extra-typings";
import type { LongCall } from "../progress.js";
import { type Colours, coloursFor } from "./colour.js";
import { exitCodes, interruptExitCodes } from "./exit-code.js";
import { describeFailure } from "./failure.js";
import type { Host, Output } from "./host.js";
import { watchInterrupts } from "./interrupt.js";
import { createReporter, type ProgressMode, type Reporter } from "./progress/reporter.js";
import { harmless } from "./text.js";

/** Options that every command has. */
export interface CommonOptions {
  json?: boolean | undefined;
  progress?: ProgressMode | undefined;
  quiet?: boolean | undefined;
  /** False with `--no-color`. */
  color?: boolean | undefined;
}

/** What an action is given; passed on, it is the `LongCall` of the library. */
export interface Context extends Required<LongCall> {
  readonly onProgress: NonNullable<LongCall["onProgress"]>;
  readonly signal: AbortSignal;
  /** Says a line to people, on stderr. */
  note(message: string): void;
  /** Writes a part of the result to stdout at once, and ends what progress shows. False when nobody reads it any more. */
  write(text: string): Promise<boolean>;
  /** Whether the result is going to be JSON: then nothing else may reach stdout. */
  readonly json: boolean;
  /** Colours for the text of the result. */
  readonly colours: Colours;
  /** Of the terminal that the result goes to; undefined if it goes elsewhere. */
  readonly columns: number | undefined;
  readonly env: Host["env"];
}

/** What an action leaves: written to stdout once it is over. */
export interface Result {
  /** Members of the document of `--json`, beside `"v": 1`. */
  readonly document: object;
  /** What people get instead; whole lines. */
  readonly text?: string | undefined;
  /** Of a result that is no success: `doctor` has found a fault. */
  readonly exitCode?: number | undefined;
}

/** Runs one command line. */
export class Cli {
  exitCode: number = exitCodes.ok;

  constructor(readonly host: Host) {}

  /** Makes a commander action of a function. */
  action<Args extends unknown[]>(
    body: (context: Context, ...args: Args) => Result | Promise<Result>,
  ): (this: unknown, ...args: [...Args, CommandUnknownOpts]) => Promise<void> {
    return async (...args) => {
      const command = args.at(-1) as Command;
      const options: CommonOptions = command.optsWithGlobals();
      this.exitCode = await this.#run(options, (context) =>
        body(context, ...(args.slice(0, -1) as Args)),
      );
    };
  }

  async #run(
    options: CommonOptions,
    body: (context: Context) => Result | Promise<Result>,
  ): Promise<number> {
    const { host } = this;
    const { json = false, color = true } = options;
    const reporter = reporterFor(host, options);
    const watch = watchInterrupts(host, (signal) =>
      reporter.note(`${signal}: stopping; a second time quits at once`),
    );
    let exitCode: number;
    try {
      const {
        document,
        text,
        exitCode: wanted,
      } = await body({
        signal: watch.signal,
        onProgress: reporter.onProgress,
        note: reporter.note,
        write: (text) => {
          reporter.close(true);
          return print(host.stdout, host.stdout.isTTY ? harmless(text) : text);
        },
        json,
        colours: coloursFor(host.stdout, host.env, !color),
        columns: host.stdout.isTTY ? host.stdout.columns : undefined,
        env: host.env,
      });
      reporter.close(true);
      await print(host.stdout, json ? jsonText(document) : (text ?? ""));
      exitCode = wanted ?? exitCodes.ok;
    } catch (error) {
      reporter.close(false);
      // Node's own streams answer with an error of their own.
      const stopped = watch.signal.aborted && (error as Error | undefined)?.name === "AbortError";
      exitCode = await fail(host, reporter, stopped ? watch.signal.reason : error, json);
    } finally {
      watch.stop();
    }
    return watch.interrupt === undefined ? exitCode : interruptExitCodes[watch.interrupt];
  }
}

export function reporterFor(host: Host, options: CommonOptions): Reporter {
  const { progress = "auto", quiet = false, color = true } = options;
  const colours = coloursFor(host.stderr, host.env, !color);
  return createReporter(host, { mode: progress, quiet, colours });
}

/** Tells of an error: a line on stderr, and with `--json` the document on stdout. Gives the exit code. */
export async function fail(
  host: Host,
  reporter: Reporter,
  error: unknown,
  json: boolean,
): Promise<number> {
  const failure = describeFailure(error);
  const { code, message, exitCode } = failure;
  reporter.error(failure, host.env.USER_LLM_DEBUG === "1" ? inspect(error) : undefined);
  if (json) await print(host.stdout, jsonText({ error: { code, message } })).catch(() => false);
  return exitCode;
}

const jsonText = (document: object): string => `${JSON.stringify({ v: 1, ...document })}\n`;

/**
 * Resolves once the text is written, so that a full disk is seen. Who read our output and has had enough of it (`| head`)
 * is no failure; the result is false then.
 */
function print(output: Output, text: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    output.write(text, (error) => {
      if (error && (error as NodeJS.ErrnoException).code !== "EPIPE") reject(error);
      else resolve(!error);
    });
  });
}
