import { join } from "node:path";
import type { Parameter } from "../../autograd/index.js";
import { CheckpointError } from "../../errors.js";
import { cast, max, notEqual } from "../../ops/index.js";
import type { LongCall } from "../../progress.js";
import { tensor, tidy } from "../../tensor/index.js";
import {
  type Checkpoint,
  loadTensors,
  openCheckpoint,
  readJsonObject,
  type WantedTensor,
} from "./checkpoint/index.js";
import { ConfigReader } from "./config-reader.js";
import { Decoder } from "./decoder.js";
import type { DecoderInit, DecoderOptions } from "./decoder-options.js";
import { llmFamilies } from "./families/index.js";
import type { LlmFamily } from "./family.js";
import { storedModule, storedParameters } from "./stored-tensors.js";
import { refuseUnsupportedKeys } from "./unsupported-keys.js";

export interface LoadDecoderOptions extends LongCall, Pick<DecoderInit, "precision" | "generator"> {
  /** What matrices, their biases, and embeddings are kept in, whatever the checkpoint has. Default: `float32`. */
  readonly dtype?: "float32" | "bfloat16" | undefined;
}

/** A decoder with what its checkpoint said of it. It is the caller's to dispose. */
export interface LoadedDecoder {
  readonly decoder: Decoder;
  readonly family: LlmFamily;
  /** `config.json` as it was. */
  readonly config: Readonly<Record<string, unknown>>;
}

/**
 * Loads a decoder from a folder in Hugging Face's layout: `config.json` and safetensors, in one file or several.
 *
 * @param folder with `config.json`, and `model.safetensors` or `model.safetensors.index.json`
 * @returns      the decoder, in evaluation mode
 * @throws CheckpointError for an architecture or an option that is not supported, by name; for files that are missing
 * or damaged; for tensors that are missing, unexpected, or of another shape
 */
export async function loadDecoder(
  folder: string,
  { dtype = "float32", precision, generator, signal, onProgress }: LoadDecoderOptions = {},
): Promise<LoadedDecoder> {
  const path = join(folder, "config.json");
  const config = new ConfigReader(await readJsonObject(path), path);
  const family = familyOf(config);
  const options = family.options(config);
  await using checkpoint = await openCheckpoint(folder);
  requirePlausible(options, checkpoint, config);
  const decoder = new Decoder(options, { std: 0, dtype, precision, generator });
  try {
    await readWeights(decoder, family, checkpoint, { signal, onProgress });
    return { decoder: decoder.eval(), family, config: config.json };
  } catch (error) {
    decoder.dispose();
    throw error;
  }
}

/**
 * Gives a decoder the weights of a folder: those that it was saved with, cast to what it keeps.
 *
 * @param folder as for {@link loadDecoder}; its `config.json` is not looked at
 * @throws CheckpointError when files are missing or damaged; for tensors that are missing, unexpected, or of another shape
 */
export async function restoreDecoder(
  folder: string,
  decoder: Decoder,
  { family, ...longCall }: LongCall & { readonly family: LlmFamily },
): Promise<void> {
  await using checkpoint = await openCheckpoint(folder);
  await readWeights(decoder, family, checkpoint, longCall);
}

async function readWeights(
  decoder: Decoder,
  family: LlmFamily,
  checkpoint: Checkpoint,
  longCall: LongCall,
): Promise<void> {
  const wanted = wantedTensors(decoder, family);
  const ignored = ignoredTensors(family, decoder.options.tied ?? false);
  for await (const [parameter, value] of loadTensors(checkpoint, wanted, { ignored, ...longCall }))
    parameter.replace(value);
  if (decoder.options.tied) await requireTied(decoder, family, checkpoint, longCall.signal);
}

/** Where a checkpoint has both the embeddings and the head of a tied model, they must be the same. */
async function requireTied(
  { embedding }: Decoder,
  family: LlmFamily,
  checkpoint: Checkpoint,
  signal: AbortSignal | undefined,
): Promise<void> {
  const [name, stored] = [headWeight(family), storedModule("embedding", family)];
  const copies = [stored.name, stored.name.slice(family.prefix.length)];
  if (!checkpoint.has(name) || !copies.some((each) => checkpoint.has(`${each}.weight`))) return;
  const { value } = embedding.weight;
  using head = await checkpoint.read(name, { dtype: value.dtype, signal });
  const alike = head.shape.join() === value.shape.join();
  using different = alike ? tidy(() => max(cast(notEqual(head, value), "float32"))) : tensor(1);
  if ((await different.item()) !== 0)
    throw new CheckpointError(
      `${checkpoint.folder}: ${name} is not the same as the embeddings, to which config.json ties it (tie_word_embeddings)`,
    );
}

/** The family that a configuration names. */
export function familyOf(config: ConfigReader): LlmFamily {
  refuseUnsupportedKeys(config);
  const modelType = config.text("model_type");
  const family = llmFamilies.find((each) => each.modelType === modelType);
  const names = llmFamilies.map((each) => each.modelType).join(", ");
  if (!family) throw config.error("model_type", `is not supported; supported are ${names}`);
  const architectures = config.has("architectures") ? config.texts("architectures") : [];
  if (architectures.length > 0 && !architectures.includes(family.architecture))
    throw config.error("architectures", `must be ["${family.architecture}"] for ${modelType}`);
  return family;
}

/** A configuration may claim anything; what it claims is compared with the files before memory is taken for it. */
function requirePlausible(
  options: DecoderOptions,
  checkpoint: Checkpoint,
  config: ConfigReader,
): void {
  const { vocabulary, width, layers, hiddenWidth, maxPositions, heads } = options;
  const learned = options.positions === "learned" ? maxPositions : 0;
  const headsWidth = heads * (options.headWidth ?? width / heads);
  const least = width * (vocabulary + learned + layers * 2 * (hiddenWidth + headsWidth));
  const { names } = checkpoint;
  const stored = names.reduce((sum, name) => sum + elements(checkpoint.info(name).shape), 0);
  if (layers > names.length || least > 2 * stored)
    throw new CheckpointError(
      `${config.file}: describes a model of at least ${least} weights in ${layers} layers, but the checkpoint has ${stored} in ${names.length} tensors`,
    );
}

const elements = (shape: readonly number[]): number => shape.reduce((size, each) => size * each, 1);

/** Each parameter with its tensor: with the family's prefix, or without. */
function wantedTensors(decoder: Decoder, family: LlmFamily): Map<Parameter, WantedTensor> {
  const { prefix } = family;
  return new Map(
    storedParameters(decoder, family).map(({ path, parameter, name, shape, fromStored }) => {
      const names: [string, ...string[]] = [name];
      if (name.startsWith(prefix)) names.push(name.slice(prefix.length));
      // What is tied is one tensor, and some checkpoints have it under the head's name.
      if (path === "embedding.weight" && decoder.options.tied) names.push(headWeight(family));
      return [parameter, { names, shape, dtype: parameter.value.dtype, fromStored }];
    }),
  );
}

/** Tells of tensors of a checkpoint that are computed here, or are copies. */
function ignoredTensors(family: LlmFamily, tied: boolean): (name: string) => boolean {
  const { ignored = [] } = family;
  return (name) =>
    ignored.some((pattern) => pattern.test(name)) || (tied && name === headWeight(family));
}

function headWeight({ names: { head } }: LlmFamily): string {
  return `${typeof head === "object" ? head.name : head}.weight`;
}
