import type { LoaderState } from "../data/index.js";
import type { EncoderLoss } from "../models/index.js";
import type { Module } from "../nn/index.js";
import type { Generator } from "../ops/index.js";
import type { Optimizer } from "../optim/index.js";
import type { ProgressListener } from "../progress.js";
import { betweenSteps } from "./between-steps.js";
import { beginRun, resultOf } from "./current-run.js";
import { Lane } from "./lane.js";
import type { MetricRecord } from "./metric-record.js";
import { requireOptions } from "./options.js";
import { generatorsOf } from "./randomness.js";
import { resume } from "./resume.js";
import { rememberModes } from "./training-modes.js";
import type { ValidationOptions } from "./validate.js";

/** What training has to know of a batch. */
export interface TrainingBatch {
  /** Examples: windows, or prompts. */
  readonly size: number;
}

/** A model that `fit` trains: any module with a loss. Its trainable parameters are changed. */
export type TrainableModel<B> = Module & { loss(batch: B): EncoderLoss };

/** Batches without an end, with a cursor; a `Loader` with `epochs: Infinity` is such. */
export interface TrainingBatches<B> extends AsyncIterable<B> {
  /** Batches of an epoch. */
  readonly batches: number;
  /** The cursor: counts what was handed out. */
  state(): LoaderState;
  /** Goes on from a cursor. @throws when it is of other batches */
  load(state: LoaderState): void;
}

/** Where checkpoints go, and what the model does about them. */
export interface CheckpointOptions {
  /** Gets `step-200`, ..., and the text files `latest` and `best`. */
  folder: string;
  /** Steps from one checkpoint to the next. Default: one after each validation. The end of training has one, too. */
  every?: number | undefined;
  /** How many are kept, beside the best. Default: 2. */
  keep?: number | undefined;
  /**
   * Writes the model's files into an empty folder. The checkpoint counts once all are on the disk; whatever has to be as
   * far as the checkpoint, such as a file of metrics, is flushed here.
   */
  save(folder: string): Promise<void>;
  /** Gives the model the weights that {@link save} wrote, exactly. */
  load(folder: string): Promise<void>;
  /** Texts that have to be the same on resuming, by what they are of: hashes of the data and the configuration. */
  fingerprints?: Readonly<Record<string, string>> | undefined;
  /** Whether to resume from the newest intact checkpoint where the one asked for is damaged. Default: an error says so. */
  fallback?: boolean | undefined;
}

/** Where a run was taken up again. */
export interface ResumePoint {
  /** Optimizer steps done. */
  readonly step: number;
  /** Step of the last validation; 0 before the first. */
  readonly validatedAt: number;
  /** Spent on steps until then. */
  readonly seconds: number;
}

/** What {@link fit} is told. */
export interface FitOptions<B extends TrainingBatch = TrainingBatch> {
  /** Trained in the modes that its parts are in; a model in evaluation mode is put into training mode as a whole. */
  model: TrainableModel<B>;
  /** Of the model's trainable parameters. */
  optimizer: Optimizer;
  batches: TrainingBatches<B>;
  /** Optimizer steps of the whole run. */
  steps: number;
  /** Batches of a step, weighted by what their losses count. Default: 1. */
  accumulate?: number | undefined;
  /** Of the next step, given the steps done: `(step) => cosineWithWarmup(step, { peak: 1e-3, steps })`. */
  learningRate(step: number): number;
  /** Limits the norm of all gradients together. Default: no limit. */
  clipNorm?: number | undefined;
  /** Steps of a line of the log, which gives means over them. Default: 20. */
  logEvery?: number | undefined;
  /**
   * Gets the log in order: `loss`, `loss/<feature>`, `learningRate`, `gradientNorm`, `examplesPerSecond` and
   * `positionsPerSecond` of the split `train`, and whatever validation measured.
   */
  onLog?: ((record: MetricRecord) => void) | undefined;
  /** Inputs of a batch, for `positionsPerSecond`. Default: what its loss is the mean over. */
  positions?: ((batch: B) => number) | undefined;
  validation?: ValidationOptions | undefined;
  checkpoints?: CheckpointOptions | undefined;
  /**
   * `auto`: from the latest checkpoint, if there is one; else `best`, or a checkpoint's name or path. Default: a new run,
   * in a folder without checkpoints.
   */
  resume?: string | undefined;
  /** Called once a checkpoint is loaded, before the first step: the time to cut logs back to that step. */
  onResume?: ((point: ResumePoint) => void | Promise<void>) | undefined;
  /** Generators that the model or the batches draw from, in a fixed order. The default one is always part of a run. */
  generators?: readonly Generator[] | undefined;
  /** Steps, with `loss`, `lr` and `examples/s`. */
  onProgress?: ProgressListener | undefined;
  /** Aborting ends the run after the step under way, with a checkpoint. It may be the loader's, too. */
  signal?: AbortSignal | undefined;
}

export interface FitResult {
  /** `stopped-early`: validation did not improve any more. `aborted`: by the signal. */
  readonly reason: "finished" | "stopped-early" | "aborted";
  /** Optimizer steps done, also before the run was resumed. */
  readonly step: number;
  /** The best validation, with the path of its checkpoint if there are any. */
  readonly best?: { readonly step: number; readonly value: number; readonly checkpoint?: string };
}

/**
 * Trains a model.
 *
 *     const loader = new Loader(data, train, { batchSize: 64, shuffle: true, epochs: Infinity });
 *     const optimizer = new AdamW(model.namedParameters());
 *     await fit({ model, optimizer, batches: loader, steps: 1000, learningRate: () => 1e-3, clipNorm: 1 });
 *
 * A resumed run ends with the weights of one that was never interrupted, bit for bit: on the same processor, with the
 * same version, however often and wherever it was interrupted. Model and optimizer stay the caller's.
 *
 * @throws TrainingError when a loss, gradients or weights are no longer finite; the last checkpoint is untouched then
 * @throws CheckpointError when a checkpoint cannot be saved, is damaged, or is of another run
 * @throws UsageError for an option that is out of its range
 * @see docs/training.md
 */
export async function fit<B extends TrainingBatch>(options: FitOptions<B>): Promise<FitResult> {
  requireOptions(options);
  const generators = generatorsOf(options.generators);
  const resumed = await resume(options, generators);
  if (resumed !== undefined) await options.onResume?.(resumed);
  const run = beginRun(options, generators, resumed);
  const putBack = rememberModes(options.model);
  const lane = new Lane(options, run);
  if (!options.model.training) options.model.train();
  try {
    for (;;) {
      const reason = await betweenSteps(options, run, lane);
      if (reason !== undefined) return resultOf(run, options, reason);
      await lane.step().catch(unlessAborted(options.signal));
    }
  } finally {
    await lane.close();
    putBack();
  }
}

/** A loader that is aborted breaks off a step before anything has changed. */
const unlessAborted =
  (signal: AbortSignal | undefined) =>
  (error: unknown): void => {
    if (!signal?.aborted || error !== signal.reason) throw error;
  };
