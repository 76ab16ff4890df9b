import { join } from "node:path";
import type { Batch } from "../data/loader/batch.js";
import { encoderRanker, evaluateRanking, type RankingResult } from "../evaluate/index.js";
import type { Config } from "./config.js";
import { restoreEncoder, saveEncoder } from "./encoder-bundle/index.js";
import { rankAll, writeRankings } from "./rankings.js";
import { replaceFolder } from "./replace-folder.js";
import { openStageOne, type StageOne, type StageOneOptions } from "./stage-one.js";
import {
  hashOf,
  type RecipeTraining,
  type RunOptions,
  type RunResult,
  trainInFolder,
} from "./train-in-folder.js";

export interface PretrainOptions extends StageOneOptions, RunOptions {
  /** Whether the best checkpoint and the baselines are ranked on the test windows at the end. Default: true. */
  readonly test?: boolean | undefined;
}

export interface PretrainResult extends RunResult {
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
  let test: readonly RankingResult[] = [];
  const result = await trainInFolder(
    trainingOf(config, stage, async (run, { best }) => {
      await replaceFolder(join(run.path, "encoder"), (folder) => save(config, stage, folder));
      if (options.test === false) return;
      test = await rankAll(config, stage, "test", options);
      await writeRankings(join(run.path, "eval", "test"), test);
      await run.writeResults({ best: best ?? null, test: test.map(summaryOf) });
    }),
    options,
  );
  return { ...result, test };
}

function trainingOf(
  config: Config,
  stage: StageOne,
  conclude: RecipeTraining<Batch>["conclude"],
): RecipeTraining<Batch> {
  const { pretrain: section, encoder: encoderOptions } = config;
  const { encoder, optimizer, batches, steps, stepsPerEpoch, learningRate, data, split } = stage;
  return {
    ...{ config, section, model: encoder, conclude },
    ...{ optimizer, batches, steps, stepsPerEpoch, learningRate },
    facts: {
      data: { title: data.manifest.source.title, fingerprint: data.fingerprint },
      split: { fingerprint: split.card.fingerprint },
    },
    fingerprints: {
      data: data.fingerprint,
      split: split.card.fingerprint,
      encoder: hashOf(encoderOptions),
      training: hashOf({ ...section, loader: config.data.loader, seed: config.seed, steps }),
    },
    validate: split.validation && ((signal) => validate(config, stage, signal)),
    save: (folder) => save(config, stage, folder),
    restore: async (folder) => void (await restoreEncoder(folder, encoder)),
  };
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
