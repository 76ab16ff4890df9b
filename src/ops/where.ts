import type { Tensor } from "../tensor/tensor.js";
import type { Operand } from "./binary.js";
import { defineOp } from "./define-op.js";
import { sumTo } from "./sum-to.js";

const op = defineOp({
  name: "where",
  inputs: ["condition", "a?", "b?"],
  attributes: ["scalar"],
  outputs: ["result"],
  gradient: {
    saves: ["condition"],
    rule: ({ saved: { condition }, shapes, grad, needs }) => ({
      a: needs.a ? sumTo(where(condition, grad, 0), shapes.a) : undefined,
      b: needs.b ? sumTo(where(condition, 0, grad), shapes.b) : undefined,
    }),
  },
});

/**
 * `a` where `condition` is not 0, else `b`; the three are broadcast.
 *
 * @param condition uint8
 * @param a a tensor of any dtype, or a number
 * @param b a tensor of the dtype of `a`, or a number if `a` is none
 * @throws ShapeError when the shapes do not broadcast; DTypeError when the dtypes differ
 */
export function where(condition: Tensor, a: Tensor, b: Operand): Tensor;
export function where(condition: Tensor, a: Operand, b: Tensor): Tensor;
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  const [result] =
    typeof b === "number"
      ? op({ condition, a: typeof a === "number" ? undefined : a }, { scalar: b })
      : typeof a === "number"
        ? op({ condition, b }, { scalar: a })
        : op({ condition, a, b }, { scalar: 0 });
  return result;
}
