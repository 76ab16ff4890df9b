import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { hashFile } from "../../data/files/hash-file.js";
import { ConfigError } from "../../errors.js";
import { resolveModel } from "../../hub/index.js";
import {
  addLora,
  ConfigReader,
  type DecoderOptions,
  familyOf,
  type LoadedDecoder,
  loadDecoder,
  readJsonObject,
} from "../../models/index.js";
import { seed } from "../../ops/index.js";
import type { Optimizer } from "../../optim/index.js";
import type { LongCall } from "../../progress.js";
import { Tokenizer } from "../../tokenizers/index.js";
import { TokenBatches } from "../../train/index.js";
import type { Config } from "../config.js";
import { countSteps, makeOptimizer, makeSchedule } from "../make-optimizer.js";
import { hashOf } from "../train-in-folder.js";
import type { FinetuneConfig } from "./config.js";
import { type FinetuningParts, openSequences } from "./sequences.js";
import { TunedDecoder } from "./tuned-decoder.js";

/** Tokens of an example at most, where nobody says. */
const usualLength = 1024;

/** Everything that a language model is fine-tuned with; disposing it frees all of it. */
export interface Finetuning extends Disposable {
  readonly section: FinetuneConfig;
  /** The folder that the model was loaded from. */
  readonly source: string;
  readonly loaded: LoadedDecoder;
  readonly tokenizer: Tokenizer;
  readonly model: TunedDecoder;
  readonly optimizer: Optimizer;
  readonly parts: FinetuningParts;
  /** Training batches without end. */
  readonly batches: TokenBatches;
  /** Of the model's files, and of all sequences. */
  readonly fingerprints: { readonly model: string; readonly data: string };
  /** Optimizer steps of an epoch. */
  readonly stepsPerEpoch: number;
  /** Optimizer steps of the whole training. */
  readonly steps: number;
  /** Of a step, from 0 on. */
  learningRate(step: number): number;
}

/**
 * Loads the model and reads the examples; puts adapters into the model where the strategy is `lora`.
 *
 * @throws ConfigError, UsageError when options do not go together
 * @throws DataError when examples cannot be read, are too long, or too few
 * @throws CheckpointError, NetworkError when the model cannot be had, or is not supported
 */
export async function openFinetuning(config: Config, longCall: LongCall): Promise<Finetuning> {
  const { finetune: section } = config;
  if (section === undefined)
    throw new ConfigError("finetune.llm is missing: the model to start from");
  const { training } = section;
  const source = await resolveModel(section.llm, longCall);
  const tokenizer = await Tokenizer.load(source, longCall);
  const options = await decoderOptionsOf(source);
  requireTokens(section, options, tokenizer);
  const length = lengthOf(section, options);
  const parts = await openSequences({ ...section, length }, tokenizer, longCall);
  const { sequences } = parts.training;
  const batches = await TokenBatches.open(sequences, {
    tokens: training.batchTokens,
    seed: config.seed,
  });
  const fingerprints = {
    model: await modelFingerprint(source, longCall),
    data: await dataFingerprint(parts),
  };
  const { stepsPerEpoch, steps } = countSteps(training, batches.batches);
  const loaded = await loadTrainable(source, section, longCall);
  const { decoder, family } = loaded;
  try {
    seed(config.seed);
    if (section.strategy === "lora") addLora(decoder, family, section.lora);
    const model = new TunedDecoder(decoder, section);
    const optimizer = makeOptimizer(model, training);
    return {
      ...{ section, source, loaded, tokenizer, model, optimizer, parts, batches },
      ...{ fingerprints, stepsPerEpoch, steps },
      learningRate: makeSchedule(training, steps),
      [Symbol.dispose]() {
        optimizer.dispose();
        model.dispose();
      },
    };
  } catch (error) {
    decoder.dispose();
    throw error;
  }
}

/** Frozen weights are kept in the precision; those that are trained stay float32, and multiply in it. */
async function loadTrainable(
  folder: string,
  { strategy, precision }: FinetuneConfig,
  longCall: LongCall,
): Promise<LoadedDecoder> {
  const kept = strategy === "lora" ? { dtype: precision } : { precision };
  return await loadDecoder(folder, { ...kept, ...longCall });
}

/** What the model is, before its weights are read. */
async function decoderOptionsOf(folder: string): Promise<DecoderOptions> {
  const path = join(folder, "config.json");
  const config = new ConfigReader(await readJsonObject(path), path);
  return familyOf(config).options(config);
}

/** @throws ConfigError when the model, or a batch, has no room for the length that is asked for */
function lengthOf(
  { llm, length: wanted, training: { batchTokens } }: FinetuneConfig,
  { positions, maxPositions }: DecoderOptions,
): number {
  const length = wanted ?? Math.min(usualLength, maxPositions, batchTokens);
  if (positions === "learned" && length > maxPositions)
    throw new ConfigError(
      `finetune.length: ${llm} has ${maxPositions} positions, and length must be at most that, got ${length}`,
    );
  if (batchTokens < length)
    throw new ConfigError(
      `finetune.training.batchTokens: a batch must have room for an example of ${length} tokens, got ${batchTokens}`,
    );
  return length;
}

function requireTokens(
  { llm }: FinetuneConfig,
  { vocabulary }: DecoderOptions,
  { vocabularySize }: Tokenizer,
): void {
  if (vocabularySize > vocabulary)
    throw new ConfigError(
      `finetune.llm: the tokenizer of ${llm} has ${vocabularySize} tokens, its model ${vocabulary}`,
    );
}

/** SHA-256 of the files that make the model and its tokenizer. */
async function modelFingerprint(folder: string, { signal }: LongCall): Promise<string> {
  const names = (await readdir(folder)).filter((name) =>
    /^(?:config\.json|.*\.safetensors)$/.test(name),
  );
  const hashes: string[] = [];
  for (const name of names.sort()) hashes.push(name, await hashFile(join(folder, name), signal));
  return hashOf(hashes);
}

async function dataFingerprint({ training, validation }: FinetuningParts): Promise<string> {
  const all = [training, ...(validation ? [validation] : [])];
  return hashOf(await Promise.all(all.map(({ sequences }) => sequences.fingerprint())));
}
