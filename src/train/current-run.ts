import { join } from "node:path";
import type { LoaderState } from "../data/index.js";
import type { Generator, GeneratorState } from "../ops/index.js";
import { checkpointName } from "./checkpoint/checkpoint-folder.js";
import type { RunState } from "./checkpoint/run-state.js";
import { type EarlyStopping, notValidatedYet } from "./early-stopping.js";
import type { FitOptions, FitResult, TrainingBatch } from "./fit.js";
import { emptyMeter, type MeterState } from "./meter.js";
import { statesOf } from "./randomness.js";
import { settingsAt } from "./settings.js";

/** Where a run stands: what changes from step to step. */
export interface Run {
  /** Steps enqueued. */
  step: number;
  /** Spent on steps, in all. */
  seconds: number;
  /** Batches and generators as after `step`: a step that is broken off moves them, and does not count. */
  cursor: { readonly batches: LoaderState; readonly generators: readonly GeneratorState[] };
  meter: MeterState;
  earlyStopping: EarlyStopping;
  /** Step of the last validation; 0 before the first. */
  validatedAt: number;
  /** The last checkpoint's own `step` and `validatedAt`; 0 before the first. */
  saved: { readonly step: number; readonly validatedAt: number };
  readonly generators: readonly Generator[];
}

export function beginRun<B extends TrainingBatch>(
  { batches }: FitOptions<B>,
  generators: readonly Generator[],
  resumed: RunState | undefined,
): Run {
  const { step = 0, seconds = 0, validatedAt = 0 } = resumed ?? {};
  const { meter = emptyMeter, earlyStopping = notValidatedYet } = resumed ?? {};
  const cursor = { batches: batches.state(), generators: statesOf(generators) };
  const saved = { step, validatedAt };
  return { step, seconds, validatedAt, meter, earlyStopping, saved, cursor, generators };
}

/** Counts a step that was enqueued whole. */
export function advance<B extends TrainingBatch>(run: Run, { batches }: FitOptions<B>): void {
  run.step++;
  run.cursor = { batches: batches.state(), generators: statesOf(run.generators) };
}

/** What a checkpoint keeps of a run whose steps are all read. */
export function stateOf<B extends TrainingBatch>(run: Run, options: FitOptions<B>): RunState {
  const { step, seconds, cursor, meter, earlyStopping, validatedAt } = run;
  const settings = settingsAt(step, options);
  return { step, seconds, ...cursor, meter, earlyStopping, validatedAt, settings };
}

/** The path of the last checkpoint, if there is one. */
export function lastCheckpoint<B extends TrainingBatch>(
  { saved }: Run,
  { checkpoints }: FitOptions<B>,
): string | undefined {
  if (checkpoints === undefined || saved.step === 0) return undefined;
  return join(checkpoints.folder, checkpointName(saved.step));
}

export function resultOf<B extends TrainingBatch>(
  { step, earlyStopping: { best } }: Run,
  { checkpoints }: FitOptions<B>,
  reason: FitResult["reason"],
): FitResult {
  if (best === undefined) return { reason, step };
  const { folder } = checkpoints ?? {};
  const checkpoint = folder && { checkpoint: join(folder, checkpointName(best.step)) };
  return { reason, step, best: { ...best, ...checkpoint } };
}
