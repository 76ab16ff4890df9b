import { UsageError } from "../../errors.js";
import { Module } from "../../nn/index.js";
import {
  defaultGenerator,
  embedding,
  type Generator,
  less,
  rand,
  randint,
  reshape,
  where,
} from "../../ops/index.js";
import { keep } from "../../tensor/memory.js";
import { type Tensor, tensor } from "../../tensor/tensor.js";
import { aliasTable } from "./alias-table.js";

export interface NegativeSamplerOptions {
  /**
   * Items are drawn in proportion to `(targets + 1) ^ exponent`: 1 is their popularity, 0 draws all alike. The 1 that is
   * added gives every item a share, without which the estimate would leave out the items that are never a target.
   * Default: 1.
   */
  exponent?: number | undefined;
  /** Default: the one that `seed()` sets. */
  generator?: Generator | undefined;
}

/** Items that were drawn, each with the logarithm of its probability. */
export interface DrawnItems {
  /** `[count]`, int32; the same may come again. */
  readonly ids: Tensor;
  /** `[count]`, float32 */
  readonly logProbabilities: Tensor;
}

/**
 * Draws items in proportion to a power of how often they are targets. All it needs to go on after a checkpoint is the
 * state of its generator.
 */
export class NegativeSampler extends Module {
  readonly #generator: Generator;
  /** `[items, 1]`: the alias method's thresholds (float64) and aliases, and the logarithms of the shares. */
  readonly #tables: Readonly<Record<"thresholds" | "aliases" | "logShares", Tensor>>;

  /** @param targets how often each item is a target in training: `[items]` */
  constructor(
    targets: Float64Array,
    { exponent = 1, generator = defaultGenerator }: NegativeSamplerOptions = {},
  ) {
    super();
    if (targets.length === 0 || !targets.every((count) => count >= 0 && count < Infinity))
      throw new UsageError("NegativeSampler: targets must be a count for each item");
    if (!(exponent >= 0 && exponent < Infinity))
      throw new UsageError(`NegativeSampler: exponent must be a number from 0 on, got ${exponent}`);
    this.#generator = generator;
    const weights = targets.map((count) => (count + 1) ** exponent);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const { thresholds, aliases } = aliasTable(weights);
    const column = { shape: [targets.length, 1] };
    this.#tables = keep({
      thresholds: tensor(thresholds, column),
      aliases: tensor(aliases, column),
      logShares: tensor(
        Float32Array.from(weights, (weight) => Math.log(weight / total)),
        column,
      ),
    });
  }

  /** How many items there are to draw. */
  get items(): number {
    return this.#tables.aliases.shape[0]!;
  }

  /** `count` items, each drawn from all: on the device, so that nothing waits for them. */
  draw(count: number): DrawnItems {
    const generator = this.#generator;
    const { thresholds, aliases, logShares } = this.#tables;
    const columns = randint(0, this.items, [count], { generator });
    const heights = rand([count, 1], { generator, dtype: "float64" });
    const stays = less(heights, embedding(thresholds, columns));
    const picked = where(stays, reshape(columns, [count, 1]), embedding(aliases, columns));
    const ids = reshape(picked, [count]);
    return { ids, logProbabilities: reshape(embedding(logShares, ids), [count]) };
  }

  override dispose(): void {
    for (const table of Object.values(this.#tables)) table.dispose();
  }
}
