import { type Shape, sameShape, type Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";

const op = defineOp({
  name: "sum_to",
  inputs: ["x"],
  attributes: ["shape*"],
  outputs: ["result"],
  gradient: { none: "only gradient rules use it" },
});

/**
 * The gradient of broadcasting `shape` to the shape of `x`: sums over the repeated dimensions.
 *
 * @param x float32 or float64
 */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const [result] = op({ x }, { shape });
  return result;
}
