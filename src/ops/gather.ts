import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";

const forward = defineOp({
  name: "gather",
  inputs: ["x", "index"],
  attributes: ["axis"],
  outputs: ["result"],
  gradient: {
    saves: ["index"],
    rule({ saved: { index }, shapes, attributes: { axis }, grad }) {
      const [x] = gatherBackward({ grad, index }, { axis, shape: shapes.x });
      return { x };
    },
  },
});

/** Zeros of `shape`, to which each element of `grad` is added where `index` took it from, in order. */
export const gatherBackward = defineOp({
  name: "gather_backward",
  inputs: ["grad", "index"],
  attributes: ["axis", "shape*"],
  outputs: ["x_grad"],
  gradient: { none: "second derivatives are not supported" },
});

/**
 * Takes one element per element of `index`, along a dimension; as PyTorch's `gather`.
 *
 *     result[i, j, k] = x[i, index[i, j, k], k]        for axis 1
 *
 * Its gradient adds up what came from the same element, in order. An index out of range is a fault that names it.
 *
 * @param x     `[..., length, ...]`, any dtype; differentiable in float32 and float64
 * @param index int32, of the rank of `x` and no larger than it in any dimension but `axis`
 * @param axis  negative counts from the end
 * @returns     the shape of `index`
 * @throws ShapeError, DTypeError
 */
export function gather(x: Tensor, index: Tensor, axis: number): Tensor {
  const [result] = forward({ x, index }, { axis });
  return result;
}
