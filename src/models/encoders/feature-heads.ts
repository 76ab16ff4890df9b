import type { Batch } from "../../data/index.js";
import { UsageError } from "../../errors.js";
import { type InitOptions, Linear, Module } from "../../nn/index.js";
import { add, linearCrossEntropy, multiply, type Precision, slice } from "../../ops/index.js";
import type { Tensor } from "../../tensor/tensor.js";
import { requireNames } from "./checks.js";
import type { EncoderFeature, EncoderLoss, ItemTable } from "./encoder.js";
import type { EventEmbedding } from "./event-embedding.js";
import type { NegativeSampler } from "./negative-sampler.js";
import { sampledCrossEntropy } from "./sampled-cross-entropy.js";

export interface FeatureHeadsOptions extends InitOptions {
  /** Of the products. Default: `float32`. */
  precision?: Precision | undefined;
  /** Weights of the features' losses, by name; 0 leaves a feature out. Default: 1 each. */
  lossWeights?: Readonly<Record<string, number>> | undefined;
  /** Share of the item's probability that is spread over all items, from 0 to below 1. Default: 0. */
  labelSmoothing?: number | undefined;
}

/** Draws the items that a sampled softmax compares the target with, so many for a batch. */
export interface Negatives {
  readonly sampler: NegativeSampler;
  readonly count: number;
}

/**
 * Predicts each feature of an event from one vector: projected back to the width of the feature's embedding, compared
 * with the rows of its input table (tied weights). Where the widths are equal already because nothing was projected on
 * the way in, nothing is on the way out.
 */
export class FeatureHeads extends Module {
  readonly projections: ReadonlyMap<string, Linear>;
  readonly #precision: Precision;
  readonly #lossWeights: Readonly<Record<string, number>>;
  readonly #labelSmoothing: number;

  /** @throws UsageError when a weight is of no feature or negative, all are 0, or the smoothing is out of its range */
  constructor(events: EventEmbedding, options: FeatureHeadsOptions = {}) {
    super();
    const { precision = "float32", lossWeights = {}, labelSmoothing = 0, ...init } = options;
    requireHeads(options, events.features);
    this.#precision = precision;
    this.#lossWeights = lossWeights;
    this.#labelSmoothing = labelSmoothing;
    this.projections = new Map(
      events.projection === undefined
        ? []
        : [...events.tables].map(([name, { width }]) => [
            name,
            new Linear(events.width, width, { precision, ...init }),
          ]),
    );
  }

  /** `x [..., width]` in the space of a feature's table. */
  project(x: Tensor, feature: string): Tensor {
    return this.projections.get(feature)?.forward(x) ?? x;
  }

  /** The rows of a feature's values, without that of a missing one and those of tokens. */
  values(events: EventEmbedding, feature: string): ItemTable {
    const { size } = events.features.find(({ name }) => name === feature)!;
    const { weight } = events.tables.get(feature)!;
    // Where all rows are values, the table itself: the gradient of a slice would be a copy.
    const rows = (table: Tensor) => (table.shape[0] === size ? table : slice(table, 0, 0, size));
    const precision = this.#precision;
    return precision === "bfloat16"
      ? { weight: rows(weight.value), shadow: rows(weight.shadow), precision }
      : { weight: rows(weight.value), precision };
  }

  /**
   * The weighted sum of the features' cross-entropies, as a mean over positions. A position without a value of a feature
   * counts, with the loss 0.
   *
   * @param x         `[..., width]`
   * @param targets   by feature; the item's are at all positions that count
   * @param positions how many count
   * @param negatives for a sampled softmax of the item; else over all items
   * @throws UsageError when there are no targets of a feature
   */
  loss(
    x: Tensor,
    events: EventEmbedding,
    targets: Batch["targets"],
    positions: number,
    negatives?: Negatives,
  ): EncoderLoss {
    const parts: Record<string, Tensor> = {};
    let loss: Tensor | undefined;
    for (const { name } of events.features) {
      const weight = this.#lossWeights[name] ?? 1;
      if (weight === 0) continue;
      if (!targets[name])
        throw new UsageError(
          `FeatureHeads: the batch has no targets of "${name}"; its loader must read the feature, with targets`,
        );
      const sum = this.#sum(x, events, name, targets[name], negatives);
      const part = multiply(sum, 1 / Math.max(1, positions));
      parts[name] = part;
      const weighted = weight === 1 ? part : multiply(part, weight);
      loss = loss ? add(loss, weighted) : weighted;
    }
    return { loss: loss!, parts, count: positions };
  }

  /** The cross-entropies of one feature, added up. */
  #sum(
    x: Tensor,
    events: EventEmbedding,
    name: string,
    targets: Tensor,
    negatives: Negatives | undefined,
  ): Tensor {
    const projected = this.project(x, name);
    const { weight: table, ...product } = this.values(events, name);
    const { precision } = product;
    if (name === "item" && negatives)
      return sampledCrossEntropy(
        projected,
        table,
        targets,
        negatives.sampler.draw(negatives.count),
        { precision },
      );
    return linearCrossEntropy(projected, table, targets, {
      ...product,
      reduction: "sum",
      ...(name === "item" && { labelSmoothing: this.#labelSmoothing }),
    });
  }
}

/** @throws UsageError when a weight is of no feature or negative, all are 0, or the smoothing is out of its range */
export function requireHeads(
  { lossWeights = {}, labelSmoothing = 0 }: FeatureHeadsOptions,
  features: readonly EncoderFeature[],
): void {
  requireNames("FeatureHeads: lossWeights", lossWeights, features);
  for (const [name, weight] of Object.entries(lossWeights))
    if (!(weight >= 0 && weight < Infinity))
      throw new UsageError(
        `FeatureHeads: lossWeights.${name} must be a number from 0 on, got ${weight}`,
      );
  if (features.every(({ name }) => lossWeights[name] === 0))
    throw new UsageError("FeatureHeads: lossWeights leave no feature to learn from");
  if (!(labelSmoothing >= 0 && labelSmoothing < 1))
    throw new UsageError(
      `FeatureHeads: labelSmoothing must be from 0 to below 1, got ${labelSmoothing}`,
    );
}
