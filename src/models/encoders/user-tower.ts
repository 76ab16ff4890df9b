import type { Batch } from "../../data/index.js";
import { LayerNorm, Linear, Module } from "../../nn/index.js";
import { concat } from "../../ops/index.js";
import { type Tensor, tensor } from "../../tensor/tensor.js";
import type { EncoderFeature } from "./encoder.js";
import { FeatureTower, type FeatureTowerOptions } from "./feature-tower.js";
import { ResidualMLP } from "./residual-mlp.js";

export interface UserTowerOptions
  extends Omit<FeatureTowerOptions, "width" | "heads" | "hiddenWidth"> {
  /** Of a user embedding. */
  width: number;
  /** Of a transformer that is `width` wide; narrower ones have fewer, of the same width. */
  heads: number;
  /** Inside the MLPs of what is `width` wide; narrower ones have less, in proportion. */
  hiddenWidth: number;
  fusionLayers: number;
  /** Of the transformer of each feature. */
  widthOf(feature: EncoderFeature): number;
}

/**
 * A history as one embedding or several, with late fusion: a transformer for each feature, their outputs side by side,
 * projected to one width and put through MLPs.
 */
export class UserTower extends Module {
  readonly towers: ReadonlyMap<string, FeatureTower>;
  readonly projection: Linear | undefined;
  readonly fusion: readonly ResidualMLP[];
  readonly norm: LayerNorm;

  constructor(features: readonly EncoderFeature[], options: UserTowerOptions) {
    super();
    const { width, heads, hiddenWidth, fusionLayers, widthOf } = options;
    this.towers = new Map(
      features.map((feature) => {
        const own = widthOf(feature);
        const share = own / width;
        const tower = new FeatureTower(feature, {
          ...options,
          width: own,
          heads: heads * share,
          hiddenWidth: Math.ceil(hiddenWidth * share),
        });
        return [feature.name, tower];
      }),
    );
    const total = features.reduce((sum, feature) => sum + widthOf(feature), 0);
    this.projection =
      features.length === 1 && total === width ? undefined : new Linear(total, width, options);
    this.fusion = Array.from({ length: fusionLayers }, () => new ResidualMLP(width, options));
    this.norm = new LayerNorm(width);
  }

  /** The users of a batch: `[size, outputs, width]`. */
  forward(batch: Batch): Tensor {
    const fromEnd = eventsAfter(batch);
    const parts = [...this.towers.values()].map((tower) => tower.forward(batch, fromEnd));
    let x = parts.length === 1 ? parts[0]! : concat(parts, -1);
    if (this.projection) x = this.projection.forward(x);
    for (const layer of this.fusion) x = layer.forward(x);
    return this.norm.forward(x);
  }
}

/** How many inputs of its window follow each position; 0 for padding. */
function eventsAfter({ layout, size, extents, inputs }: Batch): Tensor {
  const { shape } = inputs.item!;
  const after = new Int32Array(inputs.item!.size);
  for (let i = 0; i < size; i++) {
    const first = layout === "padded" ? i * shape[1]! : extents[i]!;
    const count = layout === "padded" ? extents[i]! : extents[i + 1]! - first;
    for (let at = 0; at < count; at++) after[first + at] = count - 1 - at;
  }
  return tensor(after, { shape });
}
