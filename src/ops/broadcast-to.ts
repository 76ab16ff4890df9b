import type { Shape, Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import { sumTo } from "./sum-to.js";

const op = defineOp({
  name: "broadcast_to",
  inputs: ["x"],
  attributes: ["shape*"],
  outputs: ["result"],
  gradient: {
    saves: [],
    rule: ({ shapes, grad }) => ({ x: sumTo(grad, shapes.x) }),
  },
});

/**
 * A copy in which dimensions of size 1, and missing leading ones, are repeated. Arithmetic broadcasts by itself,
 * without the copy.
 *
 * @param x any dtype
 * @throws ShapeError when `x` does not broadcast to `shape`
 */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  const [result] = op({ x }, { shape });
  return result;
}
