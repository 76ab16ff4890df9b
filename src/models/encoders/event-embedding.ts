import type { Batch } from "../../data/index.js";
import { UsageError } from "../../errors.js";
import { Embedding, type InitOptions, Linear, Module } from "../../nn/index.js";
import { concat, embeddingBag, embeddings, type Precision, reshape } from "../../ops/index.js";
import type { Tensor } from "../../tensor/tensor.js";
import type { EncoderFeature } from "./encoder.js";

export interface EventEmbeddingOptions extends Pick<InitOptions, "generator"> {
  /** Widths of the features' own embeddings, by name. Default: `width` for the item, 16 for the others. */
  featureWidths?: Readonly<Record<string, number>> | undefined;
  /** Rows after those of the values and of the missing value, for tokens of the model's own. Default: 0. */
  extraRows?: number | undefined;
  precision?: Precision | undefined;
}

/**
 * An event as one vector: each feature embedded in a table of its own, side by side, projected to `width`. A feature that
 * stands alone and is as wide as the model is not projected.
 */
export class EventEmbedding extends Module {
  /** By feature: a row for each value; where a value may be missing, one for that; then the extra ones. */
  readonly tables: ReadonlyMap<string, Embedding>;
  readonly projection: Linear | undefined;

  constructor(
    readonly features: readonly EncoderFeature[],
    readonly width: number,
    { featureWidths = {}, extraRows = 0, generator, precision }: EventEmbeddingOptions = {},
  ) {
    super();
    const init = generator ? { generator } : {};
    const unknown = Object.keys(featureWidths).find(
      (name) => !features.some((feature) => feature.name === name),
    );
    if (unknown !== undefined)
      throw new UsageError(`featureWidths: ${unknown} is not a feature of this encoder`);
    this.tables = new Map(
      features.map(({ name, size, bag }) => {
        const rows = size + (name === "item" || bag ? 0 : 1) + extraRows;
        const own = featureWidths[name] ?? (name === "item" ? width : 16);
        return [name, new Embedding(rows, own, init)];
      }),
    );
    const widths = [...this.tables.values()].map((table) => table.width);
    const total = widths.reduce((sum, each) => sum + each, 0);
    this.projection =
      widths.length === 1 && total === width
        ? undefined
        : new Linear(total, width, { precision, ...init });
  }

  /** The events of a batch: `[size, length, width]` or `[positions, width]`. */
  forward({ inputs, bags }: Pick<Batch, "inputs" | "bags">): Tensor {
    const { shape: positions } = inputs.item!;
    const singles = this.features.filter(({ bag }) => !bag);
    const parts = [
      embeddings(
        singles.map(({ name }) => this.tables.get(name)!.weight.value),
        singles.map(({ name }) => inputs[name]!),
      ),
      ...this.features
        .filter(({ bag }) => bag)
        .map(({ name }) => {
          const { ids, offsets } = bags[name]!;
          const table = this.tables.get(name)!;
          const rows = embeddingBag(table.weight.value, ids, offsets);
          return reshape(rows, [...positions, table.width]);
        }),
    ];
    const events = parts.length === 1 ? parts[0]! : concat(parts, -1);
    return this.projection ? this.projection.forward(events) : events;
  }
}
