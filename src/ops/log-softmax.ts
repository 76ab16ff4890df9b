import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";

const forward = defineOp({
  name: "log_softmax",
  inputs: ["x"],
  attributes: [],
  outputs: ["result"],
  gradient: {
    saves: ["result"],
    rule({ saved: { result }, grad }) {
      const [x] = backward({ result, grad }, {});
      return { x };
    },
  },
});

const backward = defineOp({
  name: "log_softmax_backward",
  inputs: ["result", "grad"],
  attributes: [],
  outputs: ["x_grad"],
  gradient: { none: "second derivatives are not supported" },
});

/**
 * Logarithm of the softmax over the last dimension.
 *
 *     x - log Σ exp x
 *
 * @param x `[..., classes]`, float32 or float64
 * @returns the shape of `x`; a row of only -∞ yields NaN
 * @throws ShapeError for a scalar
 */
export function logSoftmax(x: Tensor): Tensor {
  const [result] = forward({ x }, {});
  return result;
}
