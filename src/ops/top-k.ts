import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import { gatherBackward } from "./gather.js";

const topKOp = defineOp({
  name: "top_k",
  inputs: ["x"],
  attributes: ["k"],
  outputs: ["values", "indices"],
  gradient: {
    saves: ["indices"],
    rule({ saved: { indices }, shapes, grad }) {
      const [x] = gatherBackward({ grad, index: indices }, { axis: -1, shape: shapes.x });
      return { x };
    },
  },
});

const argmaxOp = defineOp({
  name: "argmax",
  inputs: ["x"],
  attributes: ["axis", "keep_dims"],
  outputs: ["result"],
  gradient: { none: "positions are whole numbers" },
});

/** The largest elements of each row, and where they were. */
export interface TopK {
  /** `[..., k]`, descending; differentiable. */
  values: Tensor;
  /** `[..., k]`, int32. */
  indices: Tensor;
}

/**
 * The `k` largest elements of the last dimension, in descending order. NaN is larger than any number, as in PyTorch;
 * of equal elements the one with the lower index comes first.
 *
 * @param x `[..., classes]`, float32 or float64
 * @throws ShapeError when there are fewer than `k` classes
 */
export function topK(x: Tensor, k: number): TopK {
  const [values, indices] = topKOp({ x }, { k });
  return { values, indices };
}

/**
 * The index of the largest element along a dimension; the first of equal ones, and NaN is larger than any number.
 *
 * @param x        float32 or float64
 * @param axis     negative counts from the end
 * @param keepDims keeps the dimension, with size 1
 * @returns        int32
 * @throws ShapeError when the dimension has no elements
 */
export function argmax(x: Tensor, axis: number, { keepDims = false } = {}): Tensor {
  const [result] = argmaxOp({ x }, { axis, keep_dims: keepDims ? 1 : 0 });
  return result;
}
