import { UsageError } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import type { TopK } from "./top-k.js";

const topKOp = defineOp({
  name: "matmul_top_k",
  inputs: ["x", "weight", "bias?", "excluded?", "offsets?"],
  attributes: ["k"],
  outputs: ["values", "indices"],
  gradient: { none: "ranks a catalogue for use; train with a loss over the scores" },
});

const rankOp = defineOp({
  name: "matmul_rank",
  inputs: ["x", "weight", "bias?", "excluded?", "offsets?", "targets"],
  attributes: [],
  outputs: ["ranks"],
  gradient: { none: "ranks are whole numbers" },
});

/** Classes that each row leaves out: lists of different lengths, one after the other. */
export interface Excluded {
  /** `[ids]`, int32, in any order, repeats allowed; one outside the classes is a fault. */
  ids: Tensor;
  /** `[rows + 1]`, int32: row `r` leaves out `ids[offsets[r]]` to `ids[offsets[r + 1] - 1]`. */
  offsets: Tensor;
}

export interface CatalogueOptions {
  /** `[classes]`, added to the scores. */
  bias?: Tensor | undefined;
  /** For example the items a user has seen. Default: none. */
  excluded?: Excluded | undefined;
}

/**
 * The `k` classes with the largest scores of each row, in descending order, without a matrix of all scores.
 *
 *     topK(x · weightᵀ + bias, k)        over the classes that the row does not leave out
 *
 * As in {@link topK}, of equal scores the class with the smaller index comes first, and NaN is larger than any number.
 * Where fewer than `k` classes remain, the rest is index -1 with value -∞. No gradient.
 *
 * The weight is rearranged for the matrix product once, and again only after it has changed.
 *
 * @param x      `[..., width]`, float32 or float64
 * @param weight `[classes, width]`
 * @returns      values `[..., k]`, and indices `[..., k]`, int32
 * @throws ShapeError when widths disagree or there are fewer than `k` classes
 */
export function matmulTopK(
  x: Tensor,
  weight: Tensor,
  k: number,
  { bias, excluded }: CatalogueOptions = {},
): TopK {
  const [values, indices] = topKOp({ x, weight, bias, ...left("matmulTopK", excluded) }, { k });
  return { values, indices };
}

/**
 * The rank of each row's target among all classes, for recall, NDCG and MRR over a whole catalogue, without a matrix
 * of all scores.
 *
 *     1 + number of other classes, not left out by the row, whose score is not below the target's
 *
 * The rank is pessimistic: ties count against the target, and so does NaN, be it the target's score (which then ranks
 * last) or another's. Both scores come from the same arithmetic, so equal embeddings are equal to the bit. A target
 * that its row leaves out is ranked all the same.
 *
 * @param x       `[..., width]`, float32 or float64
 * @param weight  `[classes, width]`
 * @param targets `[...]`, int32; one outside the classes is a fault
 * @returns       `[...]`, int32, from 1 on
 * @throws ShapeError when widths disagree, or `targets` does not match the rows of `x`
 */
export function rankOfTargets(
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  { bias, excluded }: CatalogueOptions = {},
): Tensor {
  const [ranks] = rankOp({ x, weight, bias, ...left("rankOfTargets", excluded), targets }, {});
  return ranks;
}

function left(name: string, excluded: Excluded | undefined) {
  if (excluded === undefined) return {};
  const { ids, offsets } = excluded;
  if (ids === undefined || offsets === undefined)
    throw new UsageError(`${name}: excluded must have ids and offsets`);
  return { excluded: ids, offsets };
}
