import type { Tensor } from "../tensor/tensor.js";
import { divide, multiply } from "./binary.js";
import { defineOp } from "./define-op.js";

/** An elementwise op; `gradient` computes the gradient of x from what was saved and that of the result. */
function unary(
  name: string,
  saves: "x" | "result" | undefined,
  gradient: (saved: Tensor, grad: Tensor) => Tensor,
): (x: Tensor) => Tensor {
  const op = defineOp({
    name,
    inputs: ["x"],
    attributes: [],
    outputs: ["result"],
    gradient: {
      saves: saves ? [saves] : [],
      rule: ({ saved, grad }) => ({ x: gradient(saved[saves ?? "x"], grad) }),
    },
  });
  return (x) => op({ x }, {})[0];
}

/** The native gradient of `name`. */
function backward(name: string): (saved: Tensor, grad: Tensor) => Tensor {
  const op = defineOp({
    name: `${name}_backward`,
    inputs: ["saved", "grad"],
    attributes: [],
    outputs: ["x_grad"],
    gradient: { none: "second derivatives are not supported" },
  });
  return (saved, grad) => op({ saved, grad }, {})[0];
}

/** `-x`. All functions in this file work element by element on float32 and float64. */
export const negate = unary("negate", undefined, (_, grad) => negate(grad));

/** `|x|`, whose gradient at 0 is 0. */
export const abs = unary("abs", "x", backward("abs"));

/** `x²` */
export const square = unary("square", "x", backward("square"));

/** `√x`; NaN for negative numbers. */
export const sqrt = unary("sqrt", "result", backward("sqrt"));

/** `1 / √x` */
export const rsqrt = unary("rsqrt", "result", backward("rsqrt"));

/** `1 / x` */
export const reciprocal = unary("reciprocal", "result", backward("reciprocal"));

/** `eˣ` */
export const exp = unary("exp", "result", (result, grad) => multiply(grad, result));

/** The natural logarithm: -∞ at 0, NaN below. */
export const log = unary("log", "x", (x, grad) => divide(grad, x));

export const sin = unary("sin", "x", backward("sin"));

export const cos = unary("cos", "x", backward("cos"));

export const tanh = unary("tanh", "result", backward("tanh"));

/** `1 / (1 + e⁻ˣ)` */
export const sigmoid = unary("sigmoid", "result", backward("sigmoid"));

/** `max(x, 0)`; NaN stays. */
export const relu = unary("relu", "result", backward("relu"));

/** `x · sigmoid(x)` */
export const silu = unary("silu", "x", backward("silu"));

/**
 * GELU by its tanh form, the one that matrix products can apply to their results. PyTorch's `approximate="tanh"`.
 *
 *     x / 2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
 *
 * @see Hendrycks and Gimpel, "Gaussian Error Linear Units", arXiv:1606.08415
 */
export const gelu = unary("gelu", "x", backward("gelu"));

/**
 * GELU by its definition, with the distribution function of the normal distribution.
 *
 *     x / 2 · (1 + erf(x / √2))
 *
 * @see Hendrycks and Gimpel, "Gaussian Error Linear Units", arXiv:1606.08415
 */
export const geluExact = unary("gelu_exact", "x", backward("gelu_exact"));

/** `log(1 + eˣ)` */
export const softplus = unary("softplus", "x", backward("softplus"));
