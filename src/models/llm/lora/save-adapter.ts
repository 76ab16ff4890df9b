import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../../../data/files/replace-file.js";
import { CheckpointError, UsageError } from "../../../errors.js";
import { LoraLinear } from "../../../nn/index.js";
import type { LongCall } from "../../../progress.js";
import {
  type DeferredTensor,
  type StorageDType,
  saveSafetensors,
  type Tensor,
} from "../../../tensor/index.js";
import type { Decoder } from "../decoder.js";
import type { LlmFamily } from "../family.js";
import { adapterConfigOf, requireUniform } from "./adapter-config.js";
import { adapterFiles, layoutOfB, tensorName } from "./adapter-tensors.js";
import { adaptedLinears, placesOf } from "./places.js";

export interface SaveAdapterOptions extends LongCall {
  readonly family: LlmFamily;
  /** The model that the adapters belong to, an id on the hub or a folder: what PEFT loads it by. Default: none. */
  readonly baseModel?: string | undefined;
  /** What the tensors are stored as. Default: as they are, float32. */
  readonly dtype?: StorageDType | undefined;
}

/**
 * Saves a decoder's adapters, and nothing else, in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`,
 * which {@link loadAdapter} and Python's `peft` load. The rest of the folder is left alone.
 *
 * @param folder made if it is not there
 * @throws UsageError when the decoder has no adapters
 * @throws CheckpointError when a file cannot be written, or layers differ in what an adapter has one of
 */
export async function saveAdapter(
  folder: string,
  decoder: Decoder,
  { family, baseModel, ...options }: SaveAdapterOptions,
): Promise<void> {
  const places = placesOf(decoder, family);
  const adapted = adaptedLinears(decoder, family);
  if (adapted.size === 0) throw new UsageError("saveAdapter: the decoder has no adapters");
  requireUniform(adapted);
  const tensors = new Map<string, Tensor | DeferredTensor>();
  for (const place of places) {
    const { name, linear } = place;
    if (!(linear instanceof LoraLinear)) continue;
    const { toStored } = layoutOfB(place, decoder);
    const { shape, dtype } = linear.b.value;
    const deferred = toStored && { shape, dtype, make: () => toStored(linear.b.value) };
    tensors.set(tensorName(name, "A"), linear.a.value);
    tensors.set(tensorName(name, "B"), deferred ?? linear.b.value);
  }
  const names = places.map(({ name }) => name);
  const transposed = places.some(({ layout }) => layout === "transposed");
  const config = adapterConfigOf(adapted, names, { baseModel, transposed });
  try {
    await mkdir(folder, { recursive: true });
    await replaceFile(join(folder, adapterFiles.config), (append) =>
      append(`${JSON.stringify(config, null, 2)}\n`),
    );
  } catch (error) {
    const reason = (error as Error).message;
    throw new CheckpointError(`${folder}: cannot be written: ${reason}`, { cause: error });
  }
  await saveSafetensors(join(folder, adapterFiles.tensors), tensors, options);
}
