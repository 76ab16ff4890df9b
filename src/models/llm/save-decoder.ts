import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../../data/files/replace-file.js";
import { CheckpointError } from "../../errors.js";
import type { DeferredTensor, Tensor } from "../../tensor/index.js";
import { type SaveCheckpointOptions, saveCheckpoint } from "./checkpoint/index.js";
import type { Decoder } from "./decoder.js";
import type { LlmFamily } from "./family.js";
import { storedParameters } from "./stored-tensors.js";

export interface SaveDecoderOptions extends SaveCheckpointOptions {
  readonly family: LlmFamily;
  /** The whole `config.json`, as it was loaded. `dtype` in it, or `torch_dtype`, becomes what the weights are stored as. */
  readonly config: Readonly<Record<string, unknown>>;
}

/**
 * Saves a decoder as a folder in Hugging Face's layout: `config.json` and safetensors, which {@link loadDecoder} and
 * Python's `transformers` load. The rest of the folder is left alone.
 *
 * @param decoder without adapters
 * @param folder  made if it is not there
 * @throws CheckpointError when a file cannot be written
 */
export async function saveDecoder(
  folder: string,
  decoder: Decoder,
  { family, config, ...options }: SaveDecoderOptions,
): Promise<void> {
  const tensors = new Map<string, Tensor | DeferredTensor>();
  for (const { name, parameter, shape, toStored } of storedParameters(decoder, family)) {
    const { value } = parameter;
    const deferred = toStored && { shape, dtype: value.dtype, make: () => toStored(value) };
    tensors.set(name, deferred ?? value);
  }
  const { value } = decoder.embedding.weight;
  const { torch_dtype: _, ...rest } = config;
  const described = { ...rest, dtype: options.dtype ?? value.dtype };
  try {
    await mkdir(folder, { recursive: true });
    await replaceFile(join(folder, "config.json"), (append) =>
      append(`${JSON.stringify(described, null, 2)}\n`),
    );
  } catch (error) {
    const reason = (error as Error).message;
    throw new CheckpointError(`${folder}: cannot be written: ${reason}`, { cause: error });
  }
  await saveCheckpoint(folder, tensors, options);
}
