import { PassThrough } from "node:stream";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "../../src/cli/action.js";
import type { Host, Interrupt } from "../../src/cli/host.js";
import { main } from "../../src/cli/program.js";

export interface RunOptions {
  env?: Record<string, string> | undefined;
  /** Makes stderr and stdout terminals of this many columns. */
  columns?: number | undefined;
  /** In place of the real commands. */
  addCommands?: ((program: CommandUnknownOpts, cli: Cli) => void) | undefined;
}

export interface Run {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** A host with streams in memory. */
export class MemoryHost implements Host {
  readonly stdout: PassThrough & { isTTY?: boolean; columns?: number } = new PassThrough();
  readonly stderr: PassThrough & { isTTY?: boolean; columns?: number } = new PassThrough();
  readonly quits: number[] = [];
  readonly #listeners = new Set<(signal: Interrupt) => void>();

  constructor(
    readonly env: Record<string, string> = {},
    columns?: number,
  ) {
    if (columns === undefined) return;
    for (const stream of [this.stdout, this.stderr])
      Object.assign(stream, { isTTY: true, columns });
  }

  onInterrupt(listener: (signal: Interrupt) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  quit(exitCode: number): void {
    this.quits.push(exitCode);
  }

  interrupt(signal: Interrupt): void {
    for (const listener of this.#listeners) listener(signal);
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}

/** Runs the command line within this process. */
export async function runMain(args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const host = new MemoryHost(options.env, options.columns);
  const exitCode = await main(args, host, options.addCommands);
  return { exitCode, stdout: written(host.stdout), stderr: written(host.stderr) };
}

export const written = (stream: PassThrough): string =>
  (stream.read() as Buffer | null)?.toString() ?? "";
