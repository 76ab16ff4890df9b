import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { isSystemError } from "../../data/files/file-fault.js";
import {
  restoreAdapter,
  restoreDecoder,
  saveAdapter,
  saveDecoder,
  type TokenBatch,
} from "../../models/index.js";
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
import { type Finetuning, openFinetuning } from "./open-finetuning.js";

/**
 * Goes on training a language model on examples: low-rank adapters beside its weights, or all of it. Losses are those of
 * completions, or of the assistant's answers, alone. The checkpoint that foretells held-out examples best is kept.
 *
 *     const config = configure({ finetune: { llm: "org/model", data: { files: ["examples.jsonl"] } } });
 *     const { validation } = await finetune(config, { folder: "runs/tuned" });
 *
 * The run folder's `adapter/` is what PEFT loads, or `model/` what transformers loads. Aborting saves a checkpoint and
 * resolves; a call with `resume` goes on as if nothing had happened.
 *
 * @param config every option, as `resolveConfig` gives it; `seed` and `finetune` are read
 * @throws ConfigError, UsageError when options do not go together, or the folder is in use
 * @throws DataError when examples cannot be read, are too long, or too few
 * @throws CheckpointError, NetworkError when the model cannot be had; a checkpoint cannot be written, or the run that is to
 * go on is another
 */
export async function finetune(config: Config, options: RunOptions): Promise<RunResult> {
  using finetuning = await openFinetuning(config, options);
  return await trainInFolder(trainingOf(config, finetuning), options);
}

function trainingOf(config: Config, finetuning: Finetuning): RecipeTraining<TokenBatch> {
  const { section, model, optimizer, batches, fingerprints, parts } = finetuning;
  const { steps, stepsPerEpoch, learningRate } = finetuning;
  const { training, strategy, lora, precision, activationCheckpointing } = section;
  return {
    config: { seed: config.seed, finetune: section },
    ...{ section: training, model },
    ...{ optimizer, batches, steps, stepsPerEpoch, learningRate },
    positions: ({ ids }) => ids.length,
    facts: {
      data: { title: section.data.files.join(", "), fingerprint: fingerprints.data },
      llm: { name: section.llm, fingerprint: fingerprints.model },
      examples: factsOf(finetuning),
    },
    fingerprints: {
      ...fingerprints,
      strategy: hashOf({ strategy, lora, precision, activationCheckpointing }),
      training: hashOf({ ...training, seed: config.seed, steps }),
    },
    validate: parts.validation && ((signal) => validate(finetuning, signal)),
    save: (folder) => save(folder, finetuning),
    restore: (folder) => restore(folder, finetuning),
    async conclude(run, { best }) {
      const name = strategy === "lora" ? "adapter" : "model";
      await replaceFolder(join(run.path, name), (folder) => save(folder, finetuning));
      await run.writeResults({ best: best ?? null, examples: factsOf(finetuning) });
    },
  };
}

/** How much there is to learn. */
export interface ExampleFacts {
  /** Of training; of texts, windows. */
  readonly sequences: number;
  /** Inputs of training. */
  readonly tokens: number;
  /** Tokens of training that are learnt. */
  readonly learnt: number;
  /** Examples of training whose prompts lost their beginnings. */
  readonly shortened: number;
  /** Sequences that are held out; 0 where none are. */
  readonly validationSequences: number;
}

export function factsOf({ parts: { training, validation } }: Finetuning): ExampleFacts {
  const { sequences, shortened } = training;
  let [tokens, learnt] = [0, 0];
  for (let i = 0; i < sequences.count; i++) {
    tokens += sequences.inputs(i);
    learnt += sequences.counted(i);
  }
  const validationSequences = validation?.sequences.count ?? 0;
  return { sequences: sequences.count, tokens, learnt, shortened, validationSequences };
}

/** The loss on the held-out examples. */
async function validate(
  { model, parts, section }: Finetuning,
  signal: AbortSignal | undefined,
): Promise<Record<string, number>> {
  const options = { tokens: section.training.batchTokens, signal };
  const { sequences } = parts.validation!;
  const { loss, perplexity, logLikelihood } = await measureLoss(model, sequences, options);
  return { loss, perplexity, logLikelihood };
}

/** Adapters as PEFT has them, or the whole model with its tokenizer as transformers has it. */
async function save(folder: string, finetuning: Finetuning): Promise<void> {
  const { section, loaded, tokenizer, source } = finetuning;
  const { decoder, family, config } = loaded;
  if (section.strategy === "lora")
    return await saveAdapter(folder, decoder, { family, baseModel: section.llm });
  await saveDecoder(folder, decoder, { family, config });
  await tokenizer.save(folder);
  await copyIfThere("generation_config.json", source, folder);
}

async function restore(folder: string, { section, loaded }: Finetuning): Promise<void> {
  const { decoder, family } = loaded;
  if (section.strategy === "lora") await restoreAdapter(folder, decoder, { family });
  else await restoreDecoder(folder, decoder, { family });
}

export async function copyIfThere(name: string, from: string, to: string): Promise<void> {
  try {
    await copyFile(join(from, name), join(to, name));
  } catch (error) {
    if (!isSystemError(error, "ENOENT")) throw error;
  }
}
