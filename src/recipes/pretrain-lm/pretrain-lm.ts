import { join } from "node:path";
import { replaceFile } from "../../data/files/replace-file.js";
import { restoreDecoder, saveDecoder, type TokenBatch } from "../../models/index.js";
import { measureLoss } from "../../train/index.js";
import type { Config } from "../config.js";
import { replaceFolder } from "../replace-folder.js";
import {
  hashOf,
  type RecipeTraining,
  type RunOptions,
  type RunResult,
  trainInFolder,
} from "../train-in-folder.js";
import { family } from "./llama-config.js";
import { type LmPretraining, openLm } from "./open-lm.js";
import { writeSample } from "./write-sample.js";

/**
 * Trains a language model from scratch on texts: learns a byte-level BPE tokenizer, trains a decoder of Llama's
 * architecture on windows of the texts, and keeps the checkpoint that foretells held-out documents best.
 *
 *     const config = configure({ pretrainLm: { texts: { files: ["stories"] } } });
 *     const { validation } = await pretrainLm(config, { folder: "runs/stories" });
 *
 * The run folder's `model/` is a folder in Hugging Face's layout, as is every checkpoint. Aborting saves a checkpoint and
 * resolves; a call with `resume` goes on as if nothing had happened.
 *
 * @param config every option, as `resolveConfig` gives it; `seed` and `pretrainLm` are read
 * @throws ConfigError, UsageError when options do not go together, or the folder is in use
 * @throws DataError when texts cannot be read, or there are too few
 * @throws CheckpointError when a checkpoint cannot be written, or the run that is to go on is another
 */
export async function pretrainLm(config: Config, options: RunOptions): Promise<RunResult> {
  using pretraining = await openLm(config, options);
  return await trainInFolder(trainingOf(config, pretraining), options);
}

function trainingOf(config: Config, pretraining: LmPretraining): RecipeTraining<TokenBatch> {
  const { section, decoder, optimizer, batches, fingerprint } = pretraining;
  const { validation, steps, stepsPerEpoch, learningRate } = pretraining;
  const { training, model } = section;
  return {
    config: { seed: config.seed, pretrainLm: section },
    ...{ section: training, model: decoder },
    ...{ optimizer, batches, steps, stepsPerEpoch, learningRate },
    positions: ({ ids }) => ids.length,
    facts: {
      data: { title: section.texts.files.join(", "), fingerprint },
      texts: factsOf(pretraining),
    },
    fingerprints: {
      data: fingerprint,
      model: hashOf(model),
      training: hashOf({ ...training, seed: config.seed, steps }),
    },
    validate: validation && ((...told) => validate(pretraining, ...told)),
    save: (folder) => save(folder, pretraining),
    restore: (folder) => restoreDecoder(folder, decoder, { family }),
    async conclude(run, { best }) {
      await replaceFolder(join(run.path, "model"), (folder) => save(folder, pretraining));
      await run.writeResults({ best: best ?? null, texts: factsOf(pretraining) });
    },
  };
}

/** How much there is to learn. */
export interface TextFacts {
  /** Of training. */
  readonly documents: number;
  /** Of the training texts in UTF-8. */
  readonly bytes: number;
  /** Of training, with an end token for each document. */
  readonly tokens: number;
  /** Tokens that the tokenizer has. */
  readonly vocabulary: number;
  /** Documents that are held out; 0 where none are. */
  readonly validationDocuments: number;
}

export function factsOf({ texts: { tokenizer, training, validation } }: LmPretraining): TextFacts {
  return {
    documents: training.documents,
    bytes: training.bytes,
    tokens: training.tokens.length,
    vocabulary: tokenizer.vocabularySize,
    validationDocuments: validation?.documents ?? 0,
  };
}

/** The loss on the held-out documents; in bits per byte, which compares models whatever their tokens. */
async function validate(
  pretraining: LmPretraining,
  signal: AbortSignal | undefined,
  note: (line: string) => void,
): Promise<Record<string, number>> {
  const { decoder, validation, texts, section } = pretraining;
  const options = { tokens: section.training.batchTokens, signal };
  const { loss, perplexity, logLikelihood, tokens } = await measureLoss(
    decoder,
    validation!,
    options,
  );
  const bitsPerByte = (loss * tokens) / Math.LN2 / texts.validation!.bytes;
  const sample = await writeSample(pretraining, signal);
  if (sample !== undefined) note(`sample: ${JSON.stringify(sample)}`);
  return { loss, perplexity, bitsPerByte, logLikelihood };
}

/** A folder as Hugging Face has them. */
async function save(
  folder: string,
  { decoder, modelConfig, texts: { tokenizer } }: LmPretraining,
): Promise<void> {
  await saveDecoder(folder, decoder, { family, config: modelConfig });
  await tokenizer.save(folder);
  const { bos_token_id, eos_token_id } = modelConfig;
  await replaceFile(join(folder, "generation_config.json"), (append) =>
    append(`${JSON.stringify({ bos_token_id, eos_token_id }, null, 2)}\n`),
  );
}
