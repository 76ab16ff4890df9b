import { Embedding, Linear, type LinearLayerOptions, Module, Parameter } from "../../nn/index.js";
import {
  arange,
  cast,
  concat,
  divide,
  embedding,
  embeddingBag,
  less,
  maximum,
  reshape,
  sum,
  zeros,
} from "../../ops/index.js";
import { type Tensor, tensor } from "../../tensor/tensor.js";
import type { EncoderFeature } from "./encoder.js";
import type { ItemValues } from "./item-values.js";
import { ResidualMLP } from "./residual-mlp.js";

export interface LabelTowerOptions extends Pick<LinearLayerOptions, "generator" | "precision"> {
  /** Of a label's embedding. */
  width: number;
  /** Width inside the MLP. */
  hiddenWidth: number;
  /** Of each feature's own embedding. */
  widthOf(feature: EncoderFeature): number;
  /** The table of the labels' ids, shared with another module. Default: one of its own. */
  ids?: Embedding | undefined;
  /** Of each feature but the label. */
  itemValues: ReadonlyMap<string, ItemValues>;
}

/**
 * Labels (items, or the values of another feature) as embeddings: that of the label's id and the means of those of its
 * features' values, side by side, projected to one width, then an MLP. What features the items have lies in the state.
 */
export class LabelTower extends Module {
  readonly ids: Embedding | undefined;
  readonly features: ReadonlyMap<string, ItemFeature>;
  readonly projection: Linear | undefined;
  readonly mlp: ResidualMLP;

  /**
   * @param label    what labels are
   * @param features what the tower reads: the label itself, or features of items where items are the labels, or both
   */
  constructor(
    readonly label: EncoderFeature,
    features: readonly EncoderFeature[],
    options: LabelTowerOptions,
  ) {
    super();
    const { width, widthOf, generator, itemValues } = options;
    const random = generator ? { generator } : {};
    const readsId = features.some(({ name }) => name === label.name);
    this.ids = readsId
      ? (options.ids ?? new Embedding(label.size, widthOf(label), random))
      : undefined;
    this.features = new Map(
      features
        .filter(({ name }) => name !== label.name)
        .map((feature) => {
          const table = new Embedding(feature.size, widthOf(feature), random);
          return [feature.name, new ItemFeature(table, itemValues.get(feature.name)!)];
        }),
    );
    const total = features.reduce((total, feature) => total + widthOf(feature), 0);
    this.projection =
      features.length === 1 && total === width ? undefined : new Linear(total, width, options);
    this.mlp = new ResidualMLP(width, options);
  }

  /**
   * @param labels int32 `[labels]`. Default: all
   * @returns      `[labels, width]`
   */
  forward(labels?: Tensor): Tensor {
    const parts = [...this.features.values()].map((feature) => feature.forward(labels));
    if (this.ids) parts.unshift(labels ? this.ids.forward(labels) : this.ids.weight.value);
    const x = parts.length === 1 ? parts[0]! : concat(parts, -1);
    return this.mlp.forward(this.projection ? this.projection.forward(x) : x);
  }
}

/** A feature of items: the mean of its values' embeddings, zeros where an item has none. */
class ItemFeature extends Module {
  /** The values of each item, filled up with `table.count`: `[items, longest]`, int32. */
  readonly values: Parameter;

  constructor(
    readonly table: Embedding,
    { values, longest }: ItemValues,
  ) {
    super();
    this.values = new Parameter(tensor(values, { shape: [values.length / longest, longest] }));
  }

  forward(items?: Tensor): Tensor {
    const values = items ? embedding(this.values.value, items) : this.values.value;
    const [rows, longest] = values.shape as [number, number];
    const { count, width, weight } = this.table;
    // What fills up is a row of zeros behind the values'.
    const table = concat([weight.value, zeros([1, width])], 0);
    const offsets = arange(0, (rows + 1) * longest, longest, { dtype: "int32" });
    const sums = embeddingBag(table, reshape(values, [rows * longest]), offsets, { mode: "sum" });
    const counts = sum(cast(less(values, count), "float32"), 1, { keepDims: true });
    return divide(sums, maximum(counts, 1));
  }
}
