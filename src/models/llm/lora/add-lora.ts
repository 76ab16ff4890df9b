import { UsageError } from "../../../errors.js";
import { type Linear, LoraLinear, type LoraOptions } from "../../../nn/index.js";
import type { Decoder } from "../decoder.js";
import type { LlmFamily } from "../family.js";
import { type AdaptablePlace, placesOf } from "./places.js";
import {
  defaultTargets,
  type LoraTargets,
  requireKnown,
  targetedNames,
  valueFor,
} from "./targets.js";

export interface AddLoraOptions extends LoraOptions {
  /** Default: those of PEFT for the family, `["q_proj", "v_proj"]` for most. */
  targets?: LoraTargets | undefined;
  /** Ranks of layers that differ, by their names or ends of names. Default: none do. */
  rankPattern?: Readonly<Record<string, number>> | undefined;
  /** As `rankPattern`, for `alpha`. */
  alphaPattern?: Readonly<Record<string, number>> | undefined;
}

/**
 * Puts low-rank adapters in the place of linear layers, and freezes everything else: what is trainable afterwards is the
 * adapters. At first the decoder computes what it did.
 *
 *     const { decoder, family } = await loadDecoder("SmolLM2-135M", { dtype: "bfloat16" });
 *     addLora(decoder, family, { rank: 16, targets: "all-linear" });
 *
 * @returns the new layers, by their names in the family's checkpoints
 * @throws UsageError for a target that is no layer, an option out of its range, or a decoder that has adapters
 * @see Hu et al., "LoRA: low-rank adaptation of large language models", arXiv:2106.09685
 */
export function addLora(
  decoder: Decoder,
  family: LlmFamily,
  options: AddLoraOptions = {},
): Map<string, LoraLinear> {
  const {
    targets = defaultTargets(family),
    rankPattern = {},
    alphaPattern = {},
    ...lora
  } = options;
  const { rank = 8, alpha = 16, dropout = 0 } = lora;
  const places = placesOf(decoder, family);
  requireBare("addLora", places);
  const names = places.map(({ name }) => name);
  requireKnown("rankPattern", rankPattern, names);
  requireKnown("alphaPattern", alphaPattern, names);
  for (const each of [rank, ...Object.values(rankPattern)])
    if (!(Number.isSafeInteger(each) && each >= 1))
      throw new UsageError(`addLora: rank must be a whole number from 1, got ${each}`);
  for (const each of [alpha, ...Object.values(alphaPattern)])
    if (!(Number.isFinite(each) && each > 0))
      throw new UsageError(`addLora: alpha must be a positive number, got ${each}`);
  if (!(dropout >= 0 && dropout < 1))
    throw new UsageError(`addLora: dropout must be from 0 to below 1, got ${dropout}`);
  const chosen = targetedNames(names, targets);
  return putAdapters(
    decoder,
    places.filter(({ name }) => chosen.has(name)),
    ({ name }) => ({
      ...lora,
      rank: valueFor(rankPattern, name, rank),
      alpha: valueFor(alphaPattern, name, alpha),
    }),
  );
}

/** Freezes the decoder and puts an adapter into each place, of which none has one. */
export function putAdapters(
  decoder: Decoder,
  places: readonly AdaptablePlace[],
  optionsOf: (place: AdaptablePlace) => LoraOptions,
): Map<string, LoraLinear> {
  decoder.setTrainable(false);
  return new Map(
    places.map((place) => {
      const adapted = new LoraLinear(place.linear as Linear, optionsOf(place));
      place.replace(adapted.train(decoder.training));
      return [place.name, adapted];
    }),
  );
}

/** @throws UsageError when a decoder has adapters */
export function requireBare(who: string, places: readonly AdaptablePlace[]): void {
  const adapted = places.find(({ linear }) => linear instanceof LoraLinear);
  if (adapted)
    throw new UsageError(
      `${who}: ${adapted.name} has an adapter already; merge or remove it first`,
    );
}
