import { mkdir, readdir, readFile, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { fileFault, isSystemError } from "../../data/files/file-fault.js";
import { replaceFile } from "../../data/files/replace-file.js";
import { type FolderKind, partialFolder } from "../../data/write/partial-folder.js";
import { UsageError } from "../../errors.js";
import type { MetricRecord } from "../metric-record.js";
import { AppendFile } from "./append-file.js";
import { commandLine } from "./command-line.js";
import { describeEnvironment, type RunFacts } from "./environment.js";
import { FolderLock, holderOf, lockName } from "./folder-lock.js";
import { replaceJson, toJson } from "./json.js";
import { MetricsLog } from "./metrics-log.js";
import {
  isDraft,
  type RunEnvironment,
  readRunEnvironment,
  runFiles,
  runKind,
  runVersion,
} from "./run-files.js";
import { redactText, redactValue } from "./secrets.js";

export interface CreateRunOptions {
  config: {
    /** The file that the user gave, as it was. Default: the resolved configuration. */
    text?: string | undefined;
    /** With every default. */
    resolved: object;
  };
  /** The words of the command line, the program first. Secrets are left out of what is stored. */
  command: readonly string[];
  /** What else belongs in `environment.json`: fingerprints of data and split, the number of parameters. */
  environment?: RunFacts | undefined;
  /** Replaces a run that is there. Nothing but a run that nobody is using is ever replaced. Default: false. */
  overwrite?: boolean | undefined;
}

export interface OpenRunOptions {
  /** The words of the command line that resumes the run; `command.txt` gets a line more. */
  command?: readonly string[] | undefined;
}

/**
 * The folder of a run: how it was started, what it measured, where it stands. One process at a time has it, from `create`
 * or `open` to `close`; a process that is killed leaves nothing that would have to be cleared.
 *
 *     const run = await RunFolder.create("runs/first", { config: { resolved }, command: ["user-llm", ...args] });
 *     run.log({ step: 100, epoch: 0.5, split: "train", values: { loss: 7.1 } });
 *     await run.close();
 */
export class RunFolder {
  readonly path: string;
  /** Where checkpoints go: `<path>/checkpoints`. */
  readonly checkpoints: string;
  readonly #lock: FolderLock;
  readonly #metrics: MetricsLog;
  readonly #lines: AppendFile;
  #isOpen = true;

  private constructor(path: string, lock: FolderLock, metrics: MetricsLog, lines: AppendFile) {
    this.path = path;
    this.checkpoints = join(path, runFiles.checkpoints);
    this.#lock = lock;
    this.#metrics = metrics;
    this.#lines = lines;
  }

  /**
   * Starts a run. The folder appears whole, with those above it that are missing.
   *
   * @throws UsageError when a run is there that may not be replaced, or that a process is using
   * @throws DataError when something else is there, or the place cannot be written
   */
  static async create(path: string, options: CreateRunOptions): Promise<RunFolder> {
    const { overwrite = false } = options;
    const before = await lockOfRun(path, overwrite);
    try {
      const partial = await partialFolder(path, { overwrite, kind: replaceable(before) });
      try {
        const lock = await lockOrThrow(partial.data, path);
        await writeStart(partial.data, options);
        await partial.commit().catch((error) => {
          const wasQuicker = ["ENOTEMPTY", "EEXIST"].some((code) =>
            isSystemError(error?.cause, code),
          );
          throw wasQuicker ? alreadyThere(path) : error;
        });
        const folder = await realpath(path);
        lock.movedTo(folder);
        return await RunFolder.#opened(path, lock);
      } finally {
        await partial.abandon();
      }
    } finally {
      await before?.release();
    }
  }

  /**
   * Goes on with a run that no process is using: to resume it, or to add results.
   *
   * @throws CheckpointError when it is no run, of another version, or damaged
   * @throws UsageError when a process is using it
   * @throws DataError when it cannot be written
   */
  static async open(path: string, { command }: OpenRunOptions = {}): Promise<RunFolder> {
    const environment = await readRunEnvironment(path);
    const lock = await lockOrThrow(path, path);
    try {
      await removeDrafts(path);
      await mkdir(join(path, runFiles.checkpoints), { recursive: true });
      if (command !== undefined) await writeResume(path, environment, command);
      return await RunFolder.#opened(path, lock);
    } catch (error) {
      await lock.release();
      throw fileFault(error, path, "open");
    }
  }

  /** Opens what grows. */
  static async #opened(path: string, lock: FolderLock): Promise<RunFolder> {
    const log = join(path, runFiles.log);
    const metrics = await MetricsLog.open(join(path, runFiles.metrics));
    return new RunFolder(path, lock, metrics, new AppendFile(log, await wholeLines(log)));
  }

  /** Seconds that the run has been going, without the time between a stop and a resume. */
  get seconds(): number {
    return this.#metrics.seconds;
  }

  /**
   * Keeps a record, in `metrics.jsonl` and for TensorBoard. It is written in the background; `flush` tells whether it was.
   *
   * @throws UsageError when a value is no number, or named as a member of the record
   */
  log(record: MetricRecord): void {
    this.#check();
    this.#metrics.log(record);
  }

  /** Keeps a line that people saw, in `train.log`. */
  note(line: string): void {
    this.#check();
    const text = redactText(stripVTControlCharacters(line)).replace(/\s*[\r\n]+\s*/g, " ");
    this.#lines.append(`${new Date().toISOString()} ${text}\n`);
  }

  /**
   * Resolves once everything logged so far is on the disk; before a checkpoint refers to it, for one.
   *
   * @throws DataError when the disk does not take it; it is kept, and tried again the next time
   */
  async flush(): Promise<void> {
    const flushed = [this.#metrics.flush(), this.#lines.flush()];
    await Promise.allSettled(flushed);
    await Promise.all(flushed);
  }

  /**
   * Forgets what was logged of steps after `step`, the one that is resumed from: the metrics become those of a run that was
   * never interrupted. TensorBoard is told to forget them too.
   */
  async truncate(step: number): Promise<void> {
    this.#check();
    await this.#metrics.truncate(step);
  }

  /** Replaces `trainer_state.json`; `TrainerState` is what readers expect. */
  async writeState(state: object): Promise<void> {
    await replaceJson(join(this.path, runFiles.state), state);
  }

  /** Replaces `all_results.json`. */
  async writeResults(results: object): Promise<void> {
    await replaceJson(join(this.path, runFiles.results), results);
  }

  /** Flushes and lets go of the folder; lets go even when flushing fails. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      const closed = [this.#metrics.close(), this.#lines.close()];
      await Promise.allSettled(closed);
      await Promise.all(closed);
    } finally {
      await this.#lock.release();
    }
  }

  #check(): void {
    if (!this.#isOpen) throw new UsageError(`${this.path}: the run folder is closed`);
  }
}

async function lockOrThrow(folder: string, path: string): Promise<FolderLock> {
  try {
    const lock = await FolderLock.take(folder);
    if (lock !== undefined) return lock;
  } catch (error) {
    throw fileFault(error, path, "write");
  }
  throw new UsageError(`${path} is in use by ${(await holderOf(folder)) ?? "another process"}`);
}

/** Takes the run that is to be replaced, if there is one. */
async function lockOfRun(path: string, overwrite: boolean): Promise<FolderLock | undefined> {
  if ((await runKind.recognise(path)) === undefined) return undefined;
  if (overwrite) return await lockOrThrow(path, path);
  throw alreadyThere(path);
}

const alreadyThere = (path: string): UsageError =>
  new UsageError(`${path} holds a run already; resume it, overwrite it or name another folder`);

/** Runs, but none that another process has put in the place while this one was getting ready. */
const replaceable = (before: FolderLock | undefined): FolderKind => ({
  name: runKind.name,
  async recognise(folder) {
    const holder = before === undefined ? await holderOf(folder) : undefined;
    if (holder !== undefined) throw new UsageError(`${folder} is in use by ${holder}`);
    return await runKind.recognise(folder);
  },
});

async function writeStart(folder: string, options: CreateRunOptions): Promise<void> {
  const { config, command, environment: facts = {} } = options;
  const { stringify } = await import("yaml");
  const environment: RunEnvironment = {
    ...(redactValue(facts) as RunFacts),
    format: "user-llm-run",
    v: runVersion,
    ...(await describeEnvironment()),
    resumed: [],
  };
  const texts = {
    [runFiles.environment]: `${toJson(environment, 2)}\n`,
    [runFiles.config]: config.text ?? stringify(config.resolved),
    [runFiles.resolved]: `${toJson(config.resolved, 2)}\n`,
    [runFiles.command]: `${commandLine(command)}\n`,
    [runFiles.metrics]: "",
    [runFiles.log]: "",
  };
  for (const [name, text] of Object.entries(texts)) {
    await replaceFile(join(folder, name), (append) => append(text));
  }
  await mkdir(join(folder, runFiles.checkpoints));
}

async function writeResume(
  folder: string,
  environment: RunEnvironment,
  command: readonly string[],
): Promise<void> {
  const resumed = [...environment.resumed, await describeEnvironment()];
  await replaceJson(join(folder, runFiles.environment), { ...environment, resumed });
  const path = join(folder, runFiles.command);
  const before = await readFile(path, "utf8").catch(() => "");
  await replaceFile(path, (append) => append(`${before}${commandLine(command)}\n`));
}

/** What a process that was killed while it replaced a file left. */
async function removeDrafts(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (isDraft(name) && !name.startsWith(lockName)) await rm(join(folder, name));
  }
}

/** Bytes of a text file without a last line that was cut off. */
async function wholeLines(path: string): Promise<number> {
  try {
    return (await readFile(path)).lastIndexOf("\n") + 1;
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return 0;
    throw fileFault(error, path, "read");
  }
}
