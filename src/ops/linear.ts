import { UsageError } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { cast } from "./cast.js";
import { defineOp } from "./define-op.js";
import { outerProductSum } from "./matmul.js";
import { type Precision, precisionCode } from "./precision.js";
import { unsqueeze } from "./reshape.js";
import { isRecorded } from "./tape.js";

/** The wire code is the position. */
const activations = ["none", "gelu"] as const;

const forward = defineOp({
  name: "linear",
  inputs: ["x", "weight", "bias?", "residual?", "shadow?"],
  attributes: ["activation", "precision"],
  outputs: ["result", "preactivation?"],
  gradient: {
    saves: (needs) => [
      ...(needs.weight ? (["x"] as const) : []),
      ...(needs.x ? (["weight", "shadow"] as const) : []),
      "preactivation",
    ],
    rule({ saved: { x, weight, shadow, preactivation }, attributes, grad, needs }) {
      const residual = needs.residual ? grad : undefined;
      if (!needs.x && !needs.weight && !needs.bias) return { residual };
      const { precision } = attributes;
      let linearGrad = widened(grad);
      let bias: Tensor | undefined;
      if (preactivation || needs.bias) {
        const [preactivationGrad, biasGrad] = epilogueBackward(
          { grad: linearGrad, preactivation: preactivation && widened(preactivation) },
          {},
          {
            preactivation_grad: preactivation !== undefined && (needs.x || needs.weight),
            bias_grad: needs.bias,
          },
        );
        linearGrad = preactivationGrad ?? linearGrad;
        bias = biasGrad;
      }
      const xGrad = needs.x
        ? inputGrad({ grad: linearGrad, weight, shadow }, { precision })[0]
        : undefined;
      return {
        x: xGrad && cast(xGrad, grad.dtype),
        weight: needs.weight ? weightGrad(linearGrad, x, precision) : undefined,
        bias,
        residual,
      };
    },
  },
});

const inputGrad = defineOp({
  name: "linear_input_grad",
  inputs: ["grad", "weight", "shadow?"],
  attributes: ["precision"],
  outputs: ["x_grad"],
  gradient: { none: "second derivatives are not supported" },
});

const epilogueBackward = defineOp({
  name: "linear_epilogue_backward",
  inputs: ["grad", "preactivation?"],
  attributes: [],
  outputs: ["preactivation_grad?", "bias_grad?"],
  gradient: { none: "second derivatives are not supported" },
});

/** The gradient of a bias: sums over all rows. Not recorded. */
export function biasGrad(grad: Tensor): Tensor {
  const [, result] = epilogueBackward({ grad }, {}, { bias_grad: true });
  return result!;
}

/** The gradient of a weight from that of the result, over all rows. Not recorded. */
export const weightGrad = (grad: Tensor, x: Tensor, precision = 0): Tensor =>
  outerProductSum(asRows(grad), asRows(x), precision);

/** Gradients of bfloat16 activations are summed and differentiated in float32. */
const widened = (x: Tensor): Tensor => (x.dtype === "bfloat16" ? cast(x, "float32") : x);

const asRows = (x: Tensor): Tensor => (x.rank === 1 ? unsqueeze(x, 0) : x);

export interface LinearOptions {
  /** Applied after the bias; `gelu` is the tanh form. Default: `none`. */
  activation?: (typeof activations)[number];
  /** Added last: `[..., outWidth]`. */
  residual?: Tensor | undefined;
  /**
   * Of the products, gradients' included. A bfloat16 `weight` implies `bfloat16`. Default: `float32`, which leaves
   * operands as they are.
   */
  precision?: Precision;
  /** `weight` in bfloat16 (`Parameter.shadow`), read in its place by `precision: "bfloat16"`. */
  shadow?: Tensor | undefined;
}

/**
 * Affine map of the last dimension, with what usually follows it in the same pass.
 *
 *     activation(x · weightᵀ + bias) + residual
 *
 * A small weight is rearranged for the matrix product once, and again only after it has changed. Sums are at least
 * float32; the result has the dtype of `x`, and gradients of weight and bias are at least float32.
 *
 * @param x      `[..., inWidth]`
 * @param weight `[outWidth, inWidth]`
 * @param bias   `[outWidth]`
 * @returns      `[..., outWidth]`
 * @throws ShapeError when the widths disagree, or `residual` does not have the shape of the result
 * @throws DTypeError when the dtypes of x and weight differ, except that a bfloat16 weight goes with a float32 x,
 * and, with `precision: "bfloat16"`, the other way round
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  { activation = "none", residual, precision = "float32", shadow }: LinearOptions = {},
): Tensor {
  const code = activations.indexOf(activation);
  if (code < 0)
    throw new UsageError(
      `linear: activation must be ${activations.map((name) => `"${name}"`).join(" or ")}, got "${activation}"`,
    );
  const preactivation = activation !== "none" && isRecorded(x, weight, bias);
  const [result] = forward(
    { x, weight, bias, residual, shadow },
    { activation: code, precision: precisionCode("linear", precision) },
    { preactivation },
  );
  return result;
}
