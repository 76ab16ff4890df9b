import { createHash } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { encoderRanker, evaluateRanking, type RankingResult } from "../evaluate/index.js";
import { type FitResult, fit, type MetricRecord, RunFolder } from "../train/index.js";
import type { Config } from "./config.js";
import { restoreEncoder, saveEncoder } from "./encoder-bundle/index.js";
import { rankAll, writeRankings } from "./rankings.js";
import { RunJournal } from "./run-journal.js";
import { openStageOne, type StageOne, type StageOneOptions } from "./stage-one.js";

export interface PretrainOptions extends StageOneOptions {
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
  /** Whether the best checkpoint and the baselines are ranked on the test windows at the end. Default: true. */
  readonly test?: boolean | undefined;
  /** Every line of the log. */
  readonly onLog?: ((record: MetricRecord) => void) | undefined;
}

export interface PretrainResult {
  readonly folder: string;
  readonly reason: FitResult["reason"];
  /** Optimizer steps done, before an interruption too. */
  readonly steps: number;
  /** Seconds that the run has been going, before an interruption too. */
  readonly seconds: number;
  readonly best: FitResult["best"];
  /** Metrics of the best checkpoint in its validation, by name; empty where nothing was validated. */
  readonly validation: Readonly<Record<string, number>>;
  /** Of the test windows: the best checkpoint, then the baselines. Empty when the training was aborted, or `test` was false. */
  readonly test: readonly RankingResult[];
}

/**
 * Stage 1 from prepared data to results: trains an encoder, keeps the checkpoint that validates best, and ranks the
 * catalogue with it and with the baselines for every test user.
 *
 *     const result = await pretrain(config, { folder: "runs/first" });
 *
 * The run folder holds all of it, the encoder too (`encoder/`). Aborting saves a checkpoint and resolves; a call with
 * `resume` goes on as if nothing had happened.
 *
 * @param config every option, as `resolveConfig` gives it
 * @throws ConfigError, UsageError when options do not go together, or the folder is in use
 * @throws DataError when the data is not there, or too short for the split
 * @throws CheckpointError when a checkpoint cannot be written, or the run that is to go on is another
 */
export async function pretrain(config: Config, options: PretrainOptions): Promise<PretrainResult> {
  using stage = await openStageOne(config, options);
  const run = await openRun(config, stage, options);
  let journal: RunJournal | undefined;
  try {
    const { monitor } = config.pretrain;
    journal = await RunJournal.begin(run, { steps: stage.steps, monitor, onLog: options.onLog });
    const trained = await train(config, stage, run, journal, options);
    const { reason, step, best } = trained;
    const test = reason === "aborted" ? [] : await conclude(config, stage, run, trained, options);
    await journal.end(reason);
    const { folder } = options;
    const validation = journal.valuesOfBest;
    return { folder, reason, steps: step, seconds: run.seconds, best, validation, test };
  } catch (error) {
    await journal?.fail(error);
    throw error;
  } finally {
    await run.close();
  }
}

async function openRun(
  config: Config,
  { data, split, encoder }: StageOne,
  { folder, resume = false, overwrite, command = process.argv, configText }: PretrainOptions,
): Promise<RunFolder> {
  if (resume) return await RunFolder.open(folder, { command });
  const parameters = encoder.parameterCount;
  const trainable = encoder.trainable().reduce((sum, { value }) => sum + value.size, 0);
  return await RunFolder.create(folder, {
    config: { text: configText, resolved: config },
    command,
    environment: {
      data: { title: data.manifest.source.title, fingerprint: data.fingerprint },
      split: { fingerprint: split.card.fingerprint },
      model: { parameters, trainable },
    },
    overwrite,
  });
}

async function train(
  config: Config,
  stage: StageOne,
  run: RunFolder,
  journal: RunJournal,
  { resume, signal, onProgress }: PretrainOptions,
): Promise<FitResult> {
  const { pretrain: training } = config;
  const { encoder, optimizer, batches, steps, learningRate, data, split } = stage;
  const stepsOf = (epochs: number) => Math.max(1, Math.round(epochs * stage.stepsPerEpoch));
  return await fit({
    ...{ model: encoder, optimizer, batches, steps, learningRate, signal, onProgress },
    accumulate: training.accumulate,
    clipNorm: training.clipNorm ?? undefined,
    logEvery: training.logEvery,
    onLog: (record) => journal.log(record),
    validation: split.validation && {
      every: stepsOf(training.validateEvery),
      run: (signal) => validate(config, stage, signal),
      monitor: training.monitor,
      patience: training.patience ?? undefined,
    },
    checkpoints: {
      folder: run.checkpoints,
      every: training.checkpointEvery === undefined ? undefined : stepsOf(training.checkpointEvery),
      keep: training.keep,
      async save(folder) {
        await save(config, stage, folder);
        await journal.save();
      },
      load: async (folder) => void (await restoreEncoder(folder, encoder)),
      fingerprints: {
        data: data.fingerprint,
        split: split.card.fingerprint,
        encoder: hashOf(config.encoder),
        training: hashOf({ ...training, loader: config.data.loader, seed: config.seed, steps }),
      },
    },
    resume: resume ? "auto" : undefined,
    onResume: ({ step }) => journal.goBack(step),
  });
}

/** Ranks the validation targets with the encoder as it is. */
async function validate(
  { pretrain: { validationUsers: users }, evaluate: { ks, batchSize } }: Config,
  { encoder, data, split }: StageOne,
  signal: AbortSignal | undefined,
): Promise<Record<string, number>> {
  using ranker = encoderRanker(encoder);
  const options = { part: "validation", users, ks, batchSize, bootstrap: 0, signal } as const;
  const { metrics } = await evaluateRanking(ranker, data, split, options);
  const { masked, unmasked } = metrics.all;
  return Object.fromEntries(
    Object.entries({ masked, unmasked }).flatMap(([seen, estimates]) =>
      Object.entries(estimates).map(([name, { mean }]) => [`${seen}/${name}`, mean]),
    ),
  );
}

/** Goes back to the best checkpoint, keeps it as the run's encoder, and measures it. */
async function conclude(
  config: Config,
  stage: StageOne,
  run: RunFolder,
  { best }: FitResult,
  options: PretrainOptions,
): Promise<RankingResult[]> {
  if (best?.checkpoint !== undefined) await restoreEncoder(best.checkpoint, stage.encoder);
  const folder = join(run.path, "encoder");
  await rm(`${folder}.tmp`, { recursive: true, force: true });
  await save(config, stage, `${folder}.tmp`);
  await rm(folder, { recursive: true, force: true });
  await rename(`${folder}.tmp`, folder);
  if (options.test === false) return [];
  const results = await rankAll(config, stage, "test", options);
  await writeRankings(join(run.path, "eval", "test"), results);
  await run.writeResults({ best: best ?? null, test: results.map(summaryOf) });
  return results;
}

async function save(
  { encoder: options }: Config,
  { encoder, encoderData, data, split }: StageOne,
  folder: string,
): Promise<void> {
  await saveEncoder(folder, encoder, {
    options,
    data: encoderData,
    trainedOn: data,
    split: split.card.fingerprint,
  });
}

/** A result without the rank of each user. */
const summaryOf = ({ windows: _, ...summary }: RankingResult) => summary;

const hashOf = (value: unknown): string =>
  createHash("sha256").update(JSON.stringify(value)).digest("hex");
