import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";

const forward = defineOp({
  name: "clamp",
  inputs: ["x"],
  attributes: ["min", "max"],
  outputs: ["result"],
  gradient: {
    saves: ["x"],
    rule({ saved: { x }, attributes, grad }) {
      const [x_grad] = backward({ x, grad }, attributes);
      return { x: x_grad };
    },
  },
});

const backward = defineOp({
  name: "clamp_backward",
  inputs: ["x", "grad"],
  attributes: ["min", "max"],
  outputs: ["x_grad"],
  gradient: { none: "second derivatives are not supported" },
});

export interface ClampLimits {
  /** Default: none. */
  min?: number;
  /** Default: none. Wins where `min` is larger. */
  max?: number;
}

/**
 * `x` limited to [min, max]. Elements outside get no gradient, the limits themselves do; NaN stays.
 *
 * @param x float32 or float64
 */
export function clamp(x: Tensor, { min = -Infinity, max = Infinity }: ClampLimits): Tensor {
  const [result] = forward({ x }, { min, max });
  return result;
}
