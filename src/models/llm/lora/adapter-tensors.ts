/** Which tensor of an adapter's file is which parameter, and how it lies there. */

import type { Decoder } from "../decoder.js";
import { headRows, type StoredParameter } from "../stored-tensors.js";
import type { AdaptablePlace } from "./places.js";

export const adapterFiles = {
  config: "adapter_config.json",
  tensors: "adapter_model.safetensors",
} as const;

/** PEFT's name of a layer's matrix. */
export const tensorName = (name: string, matrix: "A" | "B"): string =>
  `base_model.model.${name}.lora_${matrix}.weight`;

/** A layer's name in a checkpoint, of PEFT's name of one of its matrices; undefined where it is something else. */
export const layerOfTensor = (name: string): string | undefined =>
  /^base_model\.model\.(.+)\.lora_[AB]\.weight$/.exec(name)?.[1];

/** Rows of `lora_B` are rows of the base's weight, and lie as they do; `lora_A` is the same whatever the layout. */
export function layoutOfB(
  { layout }: AdaptablePlace,
  decoder: Decoder,
): Pick<StoredParameter, "fromStored" | "toStored"> {
  return layout === "heads" ? headRows(decoder.options.heads) : {};
}
