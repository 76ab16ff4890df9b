import { UsageError } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import { type Precision, precisionCode } from "./precision.js";
import type { TopK } from "./top-k.js";

const topKOp = defineOp({
  name: "matmul_top_k",
  inputs: ["x", "weight", "bias?", "excluded?", "offsets?", "shadow?"],
  attributes: ["k", "precision"],
  outputs: ["values", "indices"],
  gradient: { none: "ranks a catalogue for use; train with a loss over the scores" },
});

const rankOp = defineOp({
  name: "matmul_rank",
  inputs: ["x", "weight", "bias?", "excluded?", "offsets?", "shadow?", "targets"],
  attributes: ["precision"],
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
  /** `[classes]`, in the dtype of the scores, to which it is added. */
  bias?: Tensor | undefined;
  /** For example the items a user has seen. Default: none. */
  excluded?: Excluded | undefined;
  /** Of the products. A bfloat16 `weight` implies `bfloat16`. Default: `float32`, which leaves operands as they are. */
  precision?: Precision | undefined;
  /** `weight` in bfloat16 (`Parameter.shadow`), read in its place by `precision: "bfloat16"`. */
  shadow?: Tensor | undefined;
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
 * @param x      `[..., width]`
 * @param weight `[classes, width]`
 * @returns      values `[..., k]`, float32, or float64 for float64; and indices `[..., k]`, int32
 * @throws ShapeError when widths disagree or there are fewer than `k` classes
 * @throws DTypeError when the dtypes of x and weight differ, except as in {@link linear}
 */
export function matmulTopK(
  x: Tensor,
  weight: Tensor,
  k: number,
  options: CatalogueOptions = {},
): TopK {
  const { inputs, precision } = catalogue("matmulTopK", options);
  const [values, indices] = topKOp({ x, weight, ...inputs }, { k, precision });
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
 * @param x       `[..., width]`
 * @param weight  `[classes, width]`
 * @param targets `[...]`, int32; one outside the classes is a fault
 * @returns       `[...]`, int32, from 1 on
 * @throws ShapeError when widths disagree, or `targets` does not match the rows of `x`
 * @throws DTypeError when the dtypes of x and weight differ, except as in {@link linear}
 */
export function rankOfTargets(
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  options: CatalogueOptions = {},
): Tensor {
  const { inputs, precision } = catalogue("rankOfTargets", options);
  const [ranks] = rankOp({ x, weight, ...inputs, targets }, { precision });
  return ranks;
}

function catalogue(
  name: string,
  { bias, excluded, precision = "float32", shadow }: CatalogueOptions,
) {
  if (excluded && !(excluded.ids && excluded.offsets))
    throw new UsageError(`${name}: excluded must have ids and offsets`);
  return {
    inputs: { bias, excluded: excluded?.ids, offsets: excluded?.offsets, shadow },
    precision: precisionCode(name, precision),
  };
}
