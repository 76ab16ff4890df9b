import type { Batch } from "../../data/index.js";
import { type InitOptions, Linear, Module } from "../../nn/index.js";
import { add, linearCrossEntropy, multiply, type Precision, slice } from "../../ops/index.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { EncoderLoss, ItemTable } from "./encoder.js";
import type { EventEmbedding } from "./event-embedding.js";

export interface FeatureHeadsOptions extends Pick<InitOptions, "generator"> {
  precision?: Precision | undefined;
  /** Weights of the features' losses, by name. Default: 1 each. */
  lossWeights?: Readonly<Record<string, number>> | undefined;
  /** Of the item's loss. Default: 0. */
  labelSmoothing?: number | undefined;
}

/**
 * Predicts each feature of an event from one vector: projected back to the width of the feature's embedding, compared
 * with the rows of its input table (tied weights). Where the widths are equal already because nothing was projected on
 * the way in, nothing is on the way out.
 */
export class FeatureHeads extends Module {
  readonly projections: ReadonlyMap<string, Linear>;

  constructor(
    events: EventEmbedding,
    readonly options: FeatureHeadsOptions = {},
  ) {
    super();
    const { precision, generator } = options;
    const init = generator ? { generator } : {};
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

  /** The rows of a feature's values, without that of a missing one. */
  values(events: EventEmbedding, feature: string): ItemTable {
    const { size } = events.features.find(({ name }) => name === feature)!;
    const { weight } = events.tables.get(feature)!;
    const rows = (table: Tensor) => slice(table, 0, 0, size);
    const { precision = "float32" } = this.options;
    return precision === "bfloat16"
      ? { weight: rows(weight.value), shadow: rows(weight.shadow), precision }
      : { weight: rows(weight.value), precision };
  }

  /**
   * The weighted sum of the features' cross-entropies, as a mean over positions.
   *
   * @param x         `[..., width]`
   * @param targets   by feature; the item's are at all positions that count
   * @param positions how many count
   */
  loss(
    x: Tensor,
    events: EventEmbedding,
    targets: Batch["targets"],
    positions: number,
  ): EncoderLoss {
    const { lossWeights = {}, labelSmoothing = 0 } = this.options;
    const parts: Record<string, Tensor> = {};
    let loss: Tensor | undefined;
    for (const { name } of events.features) {
      const weight = lossWeights[name] ?? 1;
      if (weight === 0) continue;
      const { weight: table, ...product } = this.values(events, name);
      const sum = linearCrossEntropy(this.project(x, name), table, targets[name]!, {
        ...product,
        reduction: "sum",
        ...(name === "item" && { labelSmoothing }),
      });
      const part = multiply(sum, 1 / Math.max(1, positions));
      parts[name] = part;
      const weighted = weight === 1 ? part : multiply(part, weight);
      loss = loss ? add(loss, weighted) : weighted;
    }
    return { loss: loss!, parts, count: positions };
  }
}
