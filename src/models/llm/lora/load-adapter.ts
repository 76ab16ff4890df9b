import { existsSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError } from "../../../errors.js";
import { LoraLinear } from "../../../nn/index.js";
import type { Generator } from "../../../ops/index.js";
import type { LongCall } from "../../../progress.js";
import { openSafetensors, type Tensor } from "../../../tensor/index.js";
import { Checkpoint, loadTensors, readJsonObject, type WantedTensor } from "../checkpoint/index.js";
import { ConfigReader } from "../config-reader.js";
import type { Decoder } from "../decoder.js";
import type { LlmFamily } from "../family.js";
import { type AdapterConfig, readAdapterConfig } from "./adapter-config.js";
import { adapterFiles, layerOfTensor, layoutOfB, tensorName } from "./adapter-tensors.js";
import { putAdapters, requireBare } from "./add-lora.js";
import { type AdaptablePlace, placesOf } from "./places.js";

export interface LoadAdapterOptions extends LongCall {
  readonly family: LlmFamily;
  /** Draws dropout, where the adapters have it. Default: the one that `seed()` sets. */
  readonly generator?: Generator | undefined;
}

/** What an adapter's configuration said of it. */
export interface LoadedAdapter {
  /** By their names in the family's checkpoints. */
  readonly layers: ReadonlyMap<string, LoraLinear>;
  /** The model it was trained on, as its author called it. */
  readonly baseModel: string | undefined;
}

/**
 * Puts the adapters of a folder in PEFT's layout into a decoder, and freezes the rest: `adapter_config.json` and
 * `adapter_model.safetensors`. The decoder changes only when everything fits.
 *
 * @param decoder the base that they were trained on, without adapters
 * @throws CheckpointError for an option of PEFT that is not supported, by name; for files that are missing or damaged; for
 * tensors that are missing, of no layer, or of another shape
 * @throws UsageError when the decoder has adapters
 */
export async function loadAdapter(
  folder: string,
  decoder: Decoder,
  { family, generator, ...longCall }: LoadAdapterOptions,
): Promise<LoadedAdapter> {
  const path = join(folder, adapterFiles.config);
  const config = readAdapterConfig(new ConfigReader(await readJsonObject(path), path));
  const all = placesOf(decoder, family);
  requireBare("loadAdapter", all);
  await using file = await openAdapter(folder);
  const places = placesIn(file, all, { family, config });
  const values = await readMatrices(file, places, { decoder, family, config, ...longCall });
  const layers = putAdapters(decoder, places, ({ name }) => ({
    rank: config.rankOf(name),
    alpha: config.alphaOf(name),
    dropout: config.dropout,
    rankStabilized: config.rankStabilized,
    ...(generator && { generator }),
  }));
  for (const [name, { a, b }] of layers) {
    a.assign(values.get(tensorName(name, "A"))!);
    b.assign(values.get(tensorName(name, "B"))!);
  }
  return { layers, baseModel: config.baseModel };
}

/**
 * Gives a decoder's adapters the values of a folder: those that they were saved with.
 *
 * @param folder  as for {@link loadAdapter}; its `adapter_config.json` is not looked at
 * @param decoder with the same adapters
 * @throws CheckpointError when files are missing or damaged; for tensors that are missing, of no layer, or of another shape
 */
export async function restoreAdapter(
  folder: string,
  decoder: Decoder,
  { family, ...longCall }: LongCall & { readonly family: LlmFamily },
): Promise<void> {
  const places = placesOf(decoder, family).filter(({ linear }) => linear instanceof LoraLinear);
  await using file = await openAdapter(folder);
  const values = await readMatrices(file, places, { decoder, family, ...longCall });
  for (const { name, linear } of places) {
    const { a, b } = linear as LoraLinear;
    a.assign(values.get(tensorName(name, "A"))!);
    b.assign(values.get(tensorName(name, "B"))!);
  }
}

async function openAdapter(folder: string): Promise<Checkpoint> {
  const path = join(folder, adapterFiles.tensors);
  if (!existsSync(path) && existsSync(join(folder, "adapter_model.bin")))
    throw new CheckpointError(
      `${folder}: has adapter_model.bin but no safetensors; a pickle can run code and is never read, convert it in Python`,
    );
  return new Checkpoint(folder, await openSafetensors(path));
}

/** The places that the file has matrices of. */
function placesIn(
  file: Checkpoint,
  all: readonly AdaptablePlace[],
  { family, config }: { family: LlmFamily; config: AdapterConfig },
): AdaptablePlace[] {
  const layers = new Set(file.names.map(layerOfTensor));
  const places = all.filter((place) => namesOf(place, family).some((name) => layers.has(name)));
  if (places.length === 0)
    throw new CheckpointError(
      `${file.folder}: has adapters of no layer of this ${family.name} model; its first tensor is ${file.names[0]}`,
    );
  const stray = places.find(({ name }) => !config.targets(name));
  if (stray)
    throw new CheckpointError(
      `${file.folder}: ${stray.name} has an adapter, but is not in target_modules`,
    );
  return places;
}

/** A layer's name, and the one that it has in a model without a head. */
function namesOf({ name }: AdaptablePlace, { prefix }: LlmFamily): string[] {
  return name.startsWith(prefix) ? [name, name.slice(prefix.length)] : [name];
}

interface Reading extends LongCall {
  readonly decoder: Decoder;
  readonly family: LlmFamily;
  /** Default: ranks are those of the adapters that are there. */
  readonly config?: AdapterConfig | undefined;
}

/** The matrices of all places, by PEFT's names, in the decoder's layout. */
async function readMatrices(
  file: Checkpoint,
  places: readonly AdaptablePlace[],
  { decoder, family, config, ...longCall }: Reading,
): Promise<Map<string, Tensor>> {
  const wanted = new Map<string, WantedTensor>();
  for (const place of places) {
    const { linear, name } = place;
    const base = linear instanceof LoraLinear ? linear.base : linear;
    const rank = config?.rankOf(name) ?? (linear as LoraLinear).rank;
    const names = (matrix: "A" | "B") =>
      namesOf(place, family).map((each) => tensorName(each, matrix)) as [string, ...string[]];
    const dtype = base.weight.value.dtype === "float64" ? "float64" : "float32";
    const { fromStored } = layoutOfB(place, decoder);
    wanted.set(tensorName(name, "A"), { names: names("A"), shape: [rank, base.inWidth], dtype });
    wanted.set(tensorName(name, "B"), {
      ...{ names: names("B"), shape: [base.outWidth, rank], dtype, fromStored },
    });
  }
  const values = new Map<string, Tensor>();
  try {
    for await (const [name, value] of loadTensors(file, wanted, longCall)) values.set(name, value);
    return values;
  } catch (error) {
    for (const value of values.values()) value.dispose();
    throw error;
  }
}
