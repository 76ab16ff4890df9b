/** Searches for good options: trains with one combination after the other, and compares them on validation data. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Layer } from "../config/index.js";
import { fileFault, isSystemError } from "../data/files/file-fault.js";
import { ConfigError, UsageError, UserLlmError } from "../errors.js";
import type { LongCall } from "../progress.js";
import { FolderLock, holderOf } from "../train/run/folder-lock.js";
import { replaceJson } from "../train/run/json.js";
import type { Config } from "./config.js";
import { readRecord, type TrialRecord, trialName, writeRecord } from "./sweep-records.js";
import { type Trial, trialsOf } from "./sweep-space.js";
import { type SweepSummary, summarize } from "./sweep-summary.js";

/** What a trial came to. */
export interface TrialOutcome {
  /** Metrics on validation data, by which trials are chosen: never those on test data. */
  readonly validation: Readonly<Record<string, number>>;
  /** Optimizer steps, those before an interruption included. */
  readonly steps: number;
}

export interface TrialOptions extends Required<LongCall> {
  readonly signal: AbortSignal;
  readonly onProgress: NonNullable<LongCall["onProgress"]>;
  /** Whether the folder may hold what an attempt left that was cut short, at whatever moment: to be gone on with. */
  readonly resume: boolean;
}

/** Trains in a run folder. Rejects when the signal stops it early. */
export type RunTrial = (
  config: Config,
  folder: string,
  options: TrialOptions,
) => Promise<TrialOutcome>;

export interface SweepOptions extends LongCall {
  /** Of the sweep: `sweeps/learning-rate`. A run folder for each trial comes into it. */
  folder: string;
  /** The configuration as it was given, of which `config` was made. */
  layers: readonly Layer[];
  runTrial: RunTrial;
  /** Whether to go on with a sweep that is in the folder. Default: false. */
  resume?: boolean | undefined;
  /** Whether trials that have failed are run again. Default: false. */
  retryFailed?: boolean | undefined;
  /** Called after each trial. */
  onTrial?: ((trial: TrialRecord, summary: SweepSummary) => void) | undefined;
}

/**
 * Runs all trials of a sweep that are not done yet.
 *
 * After each, `results.json` says how the sweep stands, and `best.json` is the configuration of the best trial, for a run
 * of its own. A trial that fails for what it was asked to do is noted, and the next one begins; what would meet every
 * trial, such as a full disk, ends the sweep. So does the signal, once the trial has saved what it has.
 *
 * @throws ConfigError when the section `sweep` is missing or wrong, or the folder holds another sweep
 * @throws UsageError when there is a sweep in the folder and `resume` is not given
 */
export async function sweep(config: Config, options: SweepOptions): Promise<SweepSummary> {
  const { folder, layers, signal } = options;
  const trials = await plannedTrials(config, layers);
  const metric = config.sweep?.metric ?? config.pretrain.monitor;
  signal?.throwIfAborted();
  const lock = await lockFolder(folder);
  try {
    const records = await recordsOf(trials, options);
    const save = () => saveSummary(folder, trials, records, metric);
    await save();
    for (const trial of trials) {
      const before = records.get(trial.number);
      if (isDone(before, options)) continue;
      signal?.throwIfAborted();
      await runOne(trial, before, trials.length, records, options).finally(save);
      const record = records.get(trial.number)!;
      requireMetric(record, metric);
      options.onTrial?.(record, summarize(trials, records, metric));
    }
    return summarize(trials, records, metric);
  } finally {
    await lock.release();
  }
}

/**
 * The trials that a sweep runs, in order.
 *
 * @param layers the configuration as it was given, of which `config` was made
 * @throws ConfigError when the section `sweep` is missing or wrong
 */
export async function plannedTrials(config: Config, layers: readonly Layer[]): Promise<Trial[]> {
  if (config.sweep === undefined) throw new ConfigError("sweep is missing: what to vary, and how");
  return trialsOf(config.sweep, layers);
}

async function lockFolder(folder: string): Promise<FolderLock> {
  try {
    await mkdir(folder, { recursive: true });
    const lock = await FolderLock.take(folder);
    if (lock) return lock;
  } catch (error) {
    throw fileFault(error, folder, "make the folder");
  }
  const holder = (await holderOf(folder)) ?? "another process";
  throw new UsageError(`${folder}: ${holder} is running this sweep`);
}

async function recordsOf(
  trials: readonly Trial[],
  { folder, resume = false }: SweepOptions,
): Promise<Map<number, TrialRecord>> {
  const records = new Map<number, TrialRecord>();
  for (const trial of trials) {
    const record = await readRecord(folder, trial);
    if (record && !resume)
      throw new UsageError(`${folder} holds a sweep already; resume it, or name another folder`);
    if (record) records.set(trial.number, record);
  }
  return records;
}

const isDone = (record: TrialRecord | undefined, { retryFailed = false }: SweepOptions): boolean =>
  record?.status === "finished" || (record?.status === "failed" && !retryFailed);

/** Runs a trial, or goes on with it, and notes what came of it. */
async function runOne(
  trial: Trial,
  before: TrialRecord | undefined,
  count: number,
  records: Map<number, TrialRecord>,
  { folder, runTrial, signal = new AbortController().signal, onProgress }: SweepOptions,
): Promise<void> {
  const { number, values, config } = trial;
  const clock = new Clock(before);
  const note = async (
    outcome: Pick<TrialRecord, "status" | "steps"> & Partial<TrialRecord>,
  ): Promise<void> => {
    const record = { number, values, ...outcome, ...clock.read(), config };
    records.set(number, record);
    await writeRecord(folder, record);
  };
  const steps = before?.steps ?? 0;
  await note({ status: "unfinished", steps });
  try {
    const { validation, ...outcome } = await runTrial(config, join(folder, trialName(number)), {
      resume: before !== undefined,
      signal,
      onProgress: (progress) =>
        onProgress?.({ ...progress, task: `trial ${number} of ${count}: ${progress.task}` }),
    });
    await note({ status: "finished", validation, steps: outcome.steps });
  } catch (error) {
    if (signal.aborted || concernsEveryTrial(error)) {
      await note({ status: "unfinished", steps });
      throw error;
    }
    await note({ status: "failed", error: describe(error), steps });
  }
}

/** Data, disks and the machine are the same for all trials. */
function concernsEveryTrial(error: unknown): boolean {
  const codes = ["ERR_DATA", "ERR_CHECKPOINT", "ERR_DEVICE", "ERR_NATIVE_MISSING"];
  return isSystemError(error) || (error instanceof UserLlmError && codes.includes(error.code));
}

function describe(error: unknown): { code: string; message: string } {
  const { code, message } = error as Partial<UserLlmError>;
  return {
    code: typeof code === "string" ? code : "ERR_UNKNOWN",
    message: message ?? String(error),
  };
}

/** A metric that is not measured would be missed by every trial; what the trial has measured stays. */
function requireMetric({ status, validation = {} }: TrialRecord, metric: string): void {
  if (status !== "finished" || Object.hasOwn(validation, metric)) return;
  throw new ConfigError(
    `sweep.metric: ${metric} is not measured on validation data; there are ${Object.keys(validation).join(", ")}`,
  );
}

async function saveSummary(
  folder: string,
  trials: readonly Trial[],
  records: ReadonlyMap<number, TrialRecord>,
  metric: string,
): Promise<void> {
  const summary = summarize(trials, records, metric);
  await replaceJson(join(folder, "results.json"), summary);
  const best = trials.find(({ number }) => number === summary.best?.number);
  if (best) await replaceJson(join(folder, "best.json"), best.config);
}

/** What a trial costs, with its attempts before. */
class Clock {
  readonly #began = performance.now();
  readonly #cpu = process.cpuUsage();

  constructor(readonly before: Pick<TrialRecord, "seconds" | "cpuSeconds"> | undefined) {}

  read(): Pick<TrialRecord, "seconds" | "cpuSeconds"> {
    const { user, system } = process.cpuUsage(this.#cpu);
    return {
      seconds: (this.before?.seconds ?? 0) + (performance.now() - this.#began) / 1e3,
      cpuSeconds: (this.before?.cpuSeconds ?? 0) + (user + system) / 1e6,
    };
  }
}
