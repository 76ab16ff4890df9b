import { ConfigError } from "../../errors.js";
import type { Decoder } from "../../models/index.js";
import { seed } from "../../ops/index.js";
import type { Optimizer } from "../../optim/index.js";
import type { LongCall } from "../../progress.js";
import { TokenBatches, type TokenSequences, textWindows } from "../../train/index.js";
import type { Config } from "../config.js";
import { countSteps, makeOptimizer, makeSchedule } from "../make-optimizer.js";
import { hashOf } from "../train-in-folder.js";
import type { PretrainLmConfig } from "./config.js";
import { llamaConfig, makeDecoder } from "./llama-config.js";
import { type LmTexts, openTexts } from "./texts.js";

/** Everything that a language model is pretrained with; disposing it frees all of it. */
export interface LmPretraining extends Disposable {
  readonly section: PretrainLmConfig;
  readonly texts: LmTexts;
  /** The model's `config.json`. */
  readonly modelConfig: Readonly<Record<string, unknown>>;
  readonly decoder: Decoder;
  readonly optimizer: Optimizer;
  /** Training batches without end. */
  readonly batches: TokenBatches;
  /** Of all tokens. */
  readonly fingerprint: string;
  /** Undefined where nothing is held out. */
  readonly validation: TokenSequences | undefined;
  /** Optimizer steps of an epoch. */
  readonly stepsPerEpoch: number;
  /** Optimizer steps of the whole training. */
  readonly steps: number;
  /** Of a step, from 0 on. */
  learningRate(step: number): number;
}

/**
 * Reads the texts, learns a tokenizer from them and makes a model with initial weights.
 *
 * @throws ConfigError, UsageError when options do not go together
 * @throws DataError when texts cannot be read, or there are too few
 */
export async function openLm(config: Config, longCall: LongCall): Promise<LmPretraining> {
  const { pretrainLm: section } = config;
  if (section === undefined)
    throw new ConfigError("pretrainLm.texts.files is missing: the texts to learn from");
  const { model, training } = section;
  if (training.batchTokens < model.context)
    throw new ConfigError(
      `pretrainLm.training.batchTokens: a batch must have room for a window of ${model.context}, got ${training.batchTokens}`,
    );
  const texts = await openTexts(section, longCall);
  requireRoomForSamples(section, texts);
  const modelConfig = llamaConfig(model, texts.tokenizer);
  const batches = await TokenBatches.open(textWindows(texts.training.tokens, model.context), {
    tokens: training.batchTokens,
    seed: config.seed,
  });
  const validation = texts.validation && textWindows(texts.validation.tokens, model.context);
  const sequences = [batches.sequences, ...(validation ? [validation] : [])];
  const fingerprint = hashOf(await Promise.all(sequences.map((each) => each.fingerprint())));
  const { stepsPerEpoch, steps } = countSteps(training, batches.batches);
  seed(config.seed);
  const decoder = makeDecoder(modelConfig, model);
  const optimizer = makeOptimizer(decoder, training);
  return {
    ...{ section, texts, modelConfig, decoder, optimizer, batches, stepsPerEpoch, steps },
    ...{ validation, fingerprint },
    learningRate: makeSchedule(training, steps),
    [Symbol.dispose]() {
      optimizer.dispose();
      decoder.dispose();
    },
  };
}

/** @throws ConfigError, rather than when the first sample is due */
function requireRoomForSamples({ samples, model }: PretrainLmConfig, { tokenizer }: LmTexts): void {
  const { length } = tokenizer.encode(samples.prompt);
  if (length >= model.context)
    throw new ConfigError(
      `pretrainLm.samples.prompt: must have fewer tokens than the context of ${model.context}, got ${length}`,
    );
}
