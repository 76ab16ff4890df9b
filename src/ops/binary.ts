import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import { sumTo } from "./sum-to.js";

/** A tensor, or a number that stands for a scalar of the other operand's dtype. */
export type Operand = Tensor | number;

interface BinaryCall {
  a: Operand;
  b: Operand;
  result: Tensor;
  grad: Tensor;
}

/** The gradients of the operands, before they are summed to the operands' shapes. */
interface BinaryGradient {
  /** What the gradient of each operand reads. Default: nothing. */
  reads?: Record<"a" | "b", readonly ("a" | "b" | "result")[]>;
  a(call: BinaryCall): Tensor;
  b(call: BinaryCall): Tensor;
}

function binary(
  name: string,
  gradient: BinaryGradient | { none: string },
): (a: Operand, b: Operand) => Tensor {
  const op = defineOp({
    name,
    inputs: ["a?", "b?"],
    attributes: ["scalar"],
    outputs: ["result"],
    gradient:
      "none" in gradient
        ? gradient
        : {
            saves: ({ a, b }) => [
              ...new Set([
                ...((a && gradient.reads?.a) || []),
                ...((b && gradient.reads?.b) || []),
              ]),
            ],
            rule({ saved, shapes, attributes: { scalar }, grad, needs }) {
              const { a = scalar, b = scalar, result } = saved;
              const call = { a, b, result, grad };
              return {
                a: needs.a ? sumTo(gradient.a(call), shapes.a) : undefined,
                b: needs.b ? sumTo(gradient.b(call), shapes.b) : undefined,
              };
            },
          },
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
 * `a + b`, broadcast.
 *
 * The operands of every function in this file are two tensors of one dtype, or a tensor and a number. Shapes are
 * aligned at their last dimension, and a dimension of 1 is repeated.
 *
 * @param a float32, float64 or int32 (which wraps around)
 * @throws ShapeError when the shapes do not broadcast; DTypeError when the dtypes differ
 */
export const add = binary("add", {
  a: ({ grad }) => grad,
  b: ({ grad }) => grad,
});

/** `a - b`, broadcast; dtypes and errors as {@link add}. */
export const subtract = binary("subtract", {
  a: ({ grad }) => grad,
  b: ({ grad }) => multiply(grad, -1),
});

/** `a · b`, broadcast; dtypes and errors as {@link add}. */
export const multiply = binary("multiply", {
  reads: { a: ["b"], b: ["a"] },
  a: ({ b, grad }) => multiply(grad, b),
  b: ({ a, grad }) => multiply(grad, a),
});

/** `a / b`, broadcast; float32 or float64. Errors as {@link add}. */
export const divide = binary("divide", {
  reads: { a: ["b"], b: ["b", "result"] },
  a: ({ b, grad }) => divide(grad, b),
  b: ({ b, result, grad }) => divide(multiply(multiply(grad, result), -1), b),
});

/** The larger of `a` and `b`, broadcast; NaN if either is. A tie shares its gradient. As {@link add}. */
export const maximum = binary("maximum", {
  reads: { a: ["a", "b"], b: ["a", "b"] },
  a: ({ a, b, grad }) => multiply(grad, maximumSlope(a, b)),
  b: ({ a, b, grad }) => multiply(grad, maximumSlope(b, a)),
});

/** The smaller of `a` and `b`, broadcast; NaN if either is. A tie shares its gradient. As {@link add}. */
export const minimum = binary("minimum", {
  reads: { a: ["a", "b"], b: ["a", "b"] },
  a: ({ a, b, grad }) => multiply(grad, maximumSlope(b, a)),
  b: ({ a, b, grad }) => multiply(grad, maximumSlope(a, b)),
});

/** `a` to the power of `b`, broadcast; float32 or float64. Errors as {@link add}. */
export const pow = binary("pow", {
  reads: { a: ["a", "b"], b: ["a", "b"] },
  a: ({ a, b, grad }) => multiply(grad, powBaseSlope(a, b)),
  b: ({ a, b, grad }) => multiply(grad, powExponentSlope(a, b)),
});

const none = "only gradient rules use it";
/** The derivative of `maximum(a, b)` by `a`. */
const maximumSlope = binary("maximum_slope", { none });
/** The derivatives of `pow(a, b)`. */
const powBaseSlope = binary("pow_base_slope", { none });
const powExponentSlope = binary("pow_exponent_slope", { none });
