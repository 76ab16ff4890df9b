import { UsageError } from "../../errors.js";
import type { InitOptions } from "../../nn/index.js";
import type { Precision } from "../../ops/index.js";
import { requireWhole } from "./checks.js";
import type { NegativeSamplerOptions } from "./negative-sampler.js";

export interface AutoregressiveOptions extends Pick<InitOptions, "generator"> {
  /** Default: `float32`. */
  dtype?: "float32" | "float64";
  /** Transformer blocks. Default: 6. */
  layers?: number | undefined;
  /** Of a user embedding. Default: 128. */
  width?: number | undefined;
  /** Heads of attention; they divide the width, for rotary positions into even parts. Default: 8. */
  heads?: number | undefined;
  /** Width inside the MLPs. Default: four times the width. */
  hiddenWidth?: number | undefined;
  /** `learned`: an embedding for each position. `rotary`: queries and keys are turned. Default: `learned`. */
  positions?: "learned" | "rotary" | undefined;
  /** Of embeddings, attention and branches, while training; from 0 to below 1. Default: 0.1. */
  dropout?: number | undefined;
  /** Widths of the features' own embeddings, by name. Default: `width` for the item, 16 for the others. */
  featureWidths?: Readonly<Record<string, number>> | undefined;
  /** Weights of the features' losses, by name; 0 leaves a feature out. Default: 1 each. */
  lossWeights?: Readonly<Record<string, number>> | undefined;
  /** Share of the item's probability that is spread over all items; not with a sampled softmax. Default: 0. */
  labelSmoothing?: number | undefined;
  /** Training compares an item with some that are drawn. Default: with all items. */
  sampledSoftmax?: SampledSoftmaxOptions | undefined;
  /** Of the products; embeddings, norms and softmaxes are float32 either way. Default: `float32`. */
  precision?: Precision | undefined;
}

/** How the item's softmax is estimated, while training; `eval()` brings the full one back. */
export interface SampledSoftmaxOptions extends Pick<NegativeSamplerOptions, "exponent"> {
  /** Items drawn for a batch and shared by its positions. */
  negatives: number;
}

/** @throws UsageError when an option is out of its range or does not go with another */
export function requireOptions(options: AutoregressiveOptions, length: number): void {
  const { layers = 6, width = 128, heads = 8, hiddenWidth = 1, positions = "learned" } = options;
  const { dropout = 0, labelSmoothing = 0, sampledSoftmax } = options;
  for (const [name, value] of Object.entries({ length, layers, width, heads, hiddenWidth }))
    requireWhole(`AutoregressiveEncoder: ${name}`, value);
  if (width % heads !== 0)
    throw new UsageError(`AutoregressiveEncoder: heads ${heads} must divide width ${width}`);
  if (positions !== "learned" && positions !== "rotary")
    throw new UsageError(
      `AutoregressiveEncoder: positions must be "learned" or "rotary", got "${positions as string}"`,
    );
  if (positions === "rotary" && (width / heads) % 2 !== 0)
    throw new UsageError(
      `AutoregressiveEncoder: rotary positions need an even width of a head, got ${width} / ${heads} = ${width / heads}`,
    );
  if (!(dropout >= 0 && dropout < 1))
    throw new UsageError(
      `AutoregressiveEncoder: dropout must be from 0 to below 1, got ${dropout}`,
    );
  if (!sampledSoftmax) return;
  requireWhole("AutoregressiveEncoder: sampledSoftmax.negatives", sampledSoftmax.negatives);
  if (labelSmoothing !== 0)
    throw new UsageError(
      "AutoregressiveEncoder: labelSmoothing needs all items, so it does not go with sampledSoftmax",
    );
}
