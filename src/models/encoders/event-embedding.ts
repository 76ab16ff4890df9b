import type { Batch } from "../../data/index.js";
import { UsageError } from "../../errors.js";
import { Embedding, type InitOptions, Linear, Module } from "../../nn/index.js";
import { concat, embeddingBag, embeddings, type Precision, reshape } from "../../ops/index.js";
import type { Tensor } from "../../tensor/tensor.js";
import { requireFeatures, requireNames, requireWhole } from "./checks.js";
import type { EncoderFeature } from "./encoder.js";

export interface EventEmbeddingOptions extends InitOptions {
  /** Widths of the features' own embeddings, by name. Default: `width` for the item, 16 for the others. */
  featureWidths?: Readonly<Record<string, number>> | undefined;
  /** Rows after those of the values and of the missing value, for tokens of the model's own. Default: 0. */
  extraRows?: number | undefined;
  /** Of the projection. Default: `float32`. */
  precision?: Precision | undefined;
}

/** What of a batch an embedding reads. A batch without bags may leave them out. */
export type EventInputs = Pick<Batch, "inputs"> & Partial<Pick<Batch, "bags">>;

/**
 * An event as one vector: each feature embedded in a table of its own, side by side, projected to `width`. A feature that
 * stands alone and is as wide as the model is not projected.
 *
 * A missing value has an embedding of its own; an empty bag is zeros. Columns of the projection: the features with one
 * value in their order, then the bags in theirs.
 */
export class EventEmbedding extends Module {
  /** By feature: a row for each value; where a value may be missing, one for that; then the extra ones. */
  readonly tables: ReadonlyMap<string, Embedding>;
  readonly projection: Linear | undefined;

  /** @throws UsageError when the item is not the first feature, or a width is of no feature or no whole number */
  constructor(
    readonly features: readonly EncoderFeature[],
    readonly width: number,
    { featureWidths = {}, extraRows = 0, precision, ...init }: EventEmbeddingOptions = {},
  ) {
    super();
    requireWhole("EventEmbedding: width", width);
    requireFeatures("EventEmbedding", features);
    requireNames("EventEmbedding: featureWidths", featureWidths, features);
    for (const [name, each] of Object.entries(featureWidths))
      requireWhole(`EventEmbedding: featureWidths.${name}`, each);
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

  /**
   * The events of a batch: `[size, length, width]` or `[positions, width]`.
   *
   * @throws UsageError when the batch lacks a feature
   */
  forward(batch: EventInputs): Tensor {
    this.#requireInputs(batch);
    const { inputs, bags } = batch;
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
          const { ids, offsets } = bags![name]!;
          const table = this.tables.get(name)!;
          const rows = embeddingBag(table.weight.value, ids, offsets);
          return reshape(rows, [...positions, table.width]);
        }),
    ];
    const events = parts.length === 1 ? parts[0]! : concat(parts, -1);
    return this.projection ? this.projection.forward(events) : events;
  }

  #requireInputs({ inputs, bags = {} }: EventInputs): void {
    const lacking = this.features.find(({ name, bag }) => !(bag ? bags : inputs)[name]);
    if (lacking)
      throw new UsageError(
        `EventEmbedding: the batch has no ${lacking.bag ? "bags" : "inputs"} of "${lacking.name}"; this model reads ${this.features.map(({ name }) => name).join(", ")}`,
      );
  }
}
