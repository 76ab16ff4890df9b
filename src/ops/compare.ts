import type { Tensor } from "../tensor/tensor.js";
import type { Operand } from "./binary.js";
import { defineOp } from "./define-op.js";

function comparison(name: string): (a: Operand, b: Operand) => Tensor {
  const op = defineOp({
    name,
    inputs: ["a?", "b?"],
    attributes: ["scalar"],
    outputs: ["result"],
    gradient: { none: "the result is not continuous" },
  });
  return (a, b) => {
    const [result] =
      typeof b === "number"
        ? op({ a: typeof a === "number" ? undefined : a }, { scalar: b })
        : typeof a === "number"
          ? op({ b }, { scalar: a })
          : op({ a, b }, { scalar: 0 });
    return result;
  };
}

/**
 * `a = b`, broadcast.
 *
 * The operands of every comparison are two tensors of one dtype, or a tensor and a number. NaN equals nothing and is
 * neither less nor greater than anything.
 *
 * @returns uint8: 1 where it holds, else 0
 * @throws ShapeError when the shapes do not broadcast; DTypeError when the dtypes differ
 */
export const equal = comparison("equal");

/** `a ≠ b`, broadcast; as {@link equal}. */
export const notEqual = comparison("not_equal");

/** `a < b`, broadcast; as {@link equal}. */
export const less = comparison("less");

/** `a ≤ b`, broadcast; as {@link equal}. */
export const lessEqual = comparison("less_equal");

/** `a > b`, broadcast; as {@link equal}. */
export const greater = comparison("greater");

/** `a ≥ b`, broadcast; as {@link equal}. */
export const greaterEqual = comparison("greater_equal");

const both = comparison("logical_and");
const either = comparison("logical_or");

/** 1 where neither `a` nor `b` is 0, broadcast; uint8. */
export const logicalAnd = (a: Tensor, b: Tensor): Tensor => both(a, b);

/** 1 where `a` or `b` is not 0, broadcast; uint8. */
export const logicalOr = (a: Tensor, b: Tensor): Tensor => either(a, b);

/** 1 where `x` is 0, else 0; any dtype. */
export const logicalNot = (x: Tensor): Tensor => equal(x, 0);
