import { requireLive, type Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import { reshape } from "./reshape.js";

const op = defineOp({
  name: "transpose",
  inputs: ["x"],
  attributes: ["axes*"],
  outputs: ["result"],
  gradient: {
    saves: [],
    rule({ attributes: { axes }, grad }) {
      const inverse = new Array<number>(axes.length);
      axes.forEach((axis, i) => {
        inverse[axis < 0 ? axis + axes.length : axis] = i;
      });
      return { x: transpose(grad, inverse) };
    },
  },
});

/**
 * Dimensions in another order, as PyTorch's `permute`: dimension `i` of the result is dimension `axes[i]` of `x`.
 * A copy, unless only dimensions of size 1 change places.
 *
 * @param x    any dtype
 * @param axes every dimension once, negative counts from the end; default: the last two change places
 * @throws ShapeError when `axes` does not name each dimension once
 */
export function transpose(x: Tensor, axes?: readonly number[]): Tensor {
  requireLive("transpose", "x", x);
  const { rank, shape } = x;
  const order =
    axes ??
    [...shape.keys()].slice(0, -2).concat(rank > 1 ? [rank - 1, rank - 2] : [...shape.keys()]);
  const from = order.map((axis) => (axis < 0 ? axis + rank : axis));
  const valid = from.length === rank && [...shape.keys()].every((axis) => from.includes(axis));
  const moved = from.filter((axis) => shape[axis] !== 1);
  if (valid && moved.every((axis, i) => i === 0 || axis > moved[i - 1]!))
    return reshape(
      x,
      from.map((axis) => shape[axis]!),
    );
  const [result] = op({ x }, { axes: order });
  return result;
}
