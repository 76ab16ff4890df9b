import { createHash } from "node:crypto";
import type { Optimizer } from "../optim/index.js";
import type { LongCall } from "../progress.js";
import type { TrainingConfig } from "../train/config.js";
import {
  type FitResult,
  fit,
  type MetricRecord,
  RunFolder,
  type TrainableModel,
  type TrainingBatch,
  type TrainingBatches,
} from "../train/index.js";
import { RunJournal } from "./run-journal.js";

/** How a recipe's run folder is used. */
export interface RunOptions extends LongCall {
  /** The run folder; what it holds is in docs/runs.md. */
  readonly folder: string;
  /** Goes on with the run that is there. Default: false, and the folder must be new or empty. */
  readonly resume?: boolean | undefined;
  /** Replaces a run that is there. Default: false. */
  readonly overwrite?: boolean | undefined;
  /** The words of the command line, for `command.txt`. Default: this process's. */
  readonly command?: readonly string[] | undefined;
  /** The configuration as its author wrote it, for `config.yaml`. Default: with every default. */
  readonly configText?: string | undefined;
  /** Every line of the log. */
  readonly onLog?: ((record: MetricRecord) => void) | undefined;
  /** What the recipe has to say to people, as a sample of a language model; `train.log` has it, too. */
  readonly onNote?: ((line: string) => void) | undefined;
}

/** What became of a run. */
export interface RunResult {
  readonly folder: string;
  readonly reason: FitResult["reason"];
  /** Optimizer steps done, before an interruption too. */
  readonly steps: number;
  /** Seconds that the run has been going, before an interruption too. */
  readonly seconds: number;
  readonly best: FitResult["best"];
  /** Metrics of the best checkpoint in its validation, by name; empty where nothing was validated. */
  readonly validation: Readonly<Record<string, number>>;
}

/** What a recipe trains with; its parts stay the recipe's. */
export interface RecipeTraining<B extends TrainingBatch> {
  /** Every option, for `config.resolved.json`. */
  readonly config: object;
  /** The section about training. */
  readonly section: Omit<TrainingConfig, "validationUsers">;
  readonly model: TrainableModel<B>;
  readonly optimizer: Optimizer;
  /** Training batches without end. */
  readonly batches: TrainingBatches<B>;
  /** Optimizer steps of an epoch. */
  readonly stepsPerEpoch: number;
  /** Optimizer steps of the whole training. */
  readonly steps: number;
  /** Of a step, from 0 on. */
  learningRate(step: number): number;
  /** Inputs of a batch. Default: what its loss is the mean over. */
  readonly positions?: ((batch: B) => number) | undefined;
  /** What the environment is to hold of the data. */
  readonly facts: Readonly<Record<string, unknown>>;
  /** Texts that have to be the same on resuming, by what they are of. */
  readonly fingerprints: Readonly<Record<string, string>>;
  /** Measures the model. Absent where there is nothing to measure it on. @param note says a line to people */
  readonly validate?:
    | ((
        signal: AbortSignal | undefined,
        note: (line: string) => void,
      ) => Promise<Readonly<Record<string, number>>>)
    | undefined;
  /** Writes the model into an empty folder. */
  save(folder: string): Promise<void>;
  /** Gives the model the weights that {@link save} wrote. */
  restore(folder: string): Promise<void>;
  /**
   * Called at the end of a training that was not aborted, with the weights of the best checkpoint: what the run is for.
   */
  conclude(run: RunFolder, trained: FitResult): Promise<void>;
}

/**
 * Trains in a run folder, which keeps the log, checkpoints and what the recipe makes of the best one. Aborting saves a
 * checkpoint and resolves; a call with `resume` goes on as if nothing had happened.
 *
 * @throws UsageError when the folder is in use
 * @throws CheckpointError when a checkpoint cannot be written, or the run that is to go on is another
 */
export async function trainInFolder<B extends TrainingBatch>(
  training: RecipeTraining<B>,
  options: RunOptions,
): Promise<RunResult> {
  const run = await openRun(training, options);
  let journal: RunJournal | undefined;
  try {
    const { steps, section } = training;
    const { monitor } = section;
    journal = await RunJournal.begin(run, { steps, monitor, onLog: options.onLog });
    const trained = await train(training, run, journal, options);
    const { reason, step, best } = trained;
    if (reason !== "aborted") {
      if (best?.checkpoint !== undefined) await training.restore(best.checkpoint);
      await training.conclude(run, trained);
    }
    await journal.end(reason);
    const validation = journal.valuesOfBest;
    return { folder: options.folder, reason, steps: step, seconds: run.seconds, best, validation };
  } catch (error) {
    await journal?.fail(error);
    throw error;
  } finally {
    await run.close();
  }
}

async function openRun<B extends TrainingBatch>(
  { config, model, facts }: RecipeTraining<B>,
  { folder, resume = false, overwrite, command = process.argv, configText }: RunOptions,
): Promise<RunFolder> {
  if (resume) return await RunFolder.open(folder, { command });
  const parameters = model.parameterCount;
  const trainable = model.trainable().reduce((sum, { value }) => sum + value.size, 0);
  return await RunFolder.create(folder, {
    config: { text: configText, resolved: config },
    command,
    environment: { ...facts, model: { parameters, trainable } },
    overwrite,
  });
}

async function train<B extends TrainingBatch>(
  training: RecipeTraining<B>,
  run: RunFolder,
  journal: RunJournal,
  { resume, signal, onProgress, onNote }: RunOptions,
): Promise<FitResult> {
  const { section, model, optimizer, batches, steps, learningRate, positions } = training;
  const { validate, fingerprints } = training;
  const note = (line: string): void => {
    run.note(line);
    onNote?.(line);
  };
  const stepsOf = (epochs: number) => Math.max(1, Math.round(epochs * training.stepsPerEpoch));
  return await fit({
    ...{ model, optimizer, batches, steps, learningRate, positions, signal, onProgress },
    accumulate: section.accumulate,
    clipNorm: section.clipNorm ?? undefined,
    logEvery: section.logEvery,
    onLog: (record) => journal.log(record),
    validation: validate && {
      every: stepsOf(section.validateEvery),
      run: (signal) => validate(signal, note),
      monitor: section.monitor,
      patience: section.patience ?? undefined,
    },
    checkpoints: {
      folder: run.checkpoints,
      every: section.checkpointEvery === undefined ? undefined : stepsOf(section.checkpointEvery),
      keep: section.keep,
      async save(folder) {
        await training.save(folder);
        await journal.save();
      },
      load: (folder) => training.restore(folder),
      fingerprints,
    },
    resume: resume ? "auto" : undefined,
    onResume: ({ step }) => journal.goBack(step),
  });
}

/** What tells whether options are the same. */
export const hashOf = (value: unknown): string =>
  createHash("sha256").update(JSON.stringify(value)).digest("hex");
