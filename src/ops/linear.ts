import { UsageError } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import { outerProductSum } from "./matmul.js";
import { unsqueeze } from "./reshape.js";
import { isRecorded } from "./tape.js";

/** The wire code is the position. */
const activations = ["none", "gelu"] as const;

const forward = defineOp({
  name: "linear",
  inputs: ["x", "weight", "bias?", "residual?"],
  attributes: ["activation"],
  outputs: ["result", "preactivation?"],
  gradient: {
    saves: (needs) => [
      ...(needs.weight ? (["x"] as const) : []),
      ...(needs.x ? (["weight"] as const) : []),
      "preactivation",
    ],
    rule({ saved: { x, weight, preactivation }, grad, needs }) {
      const residual = needs.residual ? grad : undefined;
      if (!needs.x && !needs.weight && !needs.bias) return { residual };
      let linearGrad = grad;
      let bias: Tensor | undefined;
      if (preactivation || needs.bias) {
        const [preactivationGrad, biasGrad] = epilogueBackward(
          { grad, preactivation },
          {},
          {
            preactivation_grad: preactivation !== undefined && (needs.x || needs.weight),
            bias_grad: needs.bias,
          },
        );
        linearGrad = preactivationGrad ?? grad;
        bias = biasGrad;
      }
      return {
        x: needs.x ? inputGrad({ grad: linearGrad, weight }, {})[0] : undefined,
        weight: needs.weight ? weightGrad(linearGrad, x) : undefined,
        bias,
        residual,
      };
    },
  },
});

const inputGrad = defineOp({
  name: "linear_input_grad",
  inputs: ["grad", "weight"],
  attributes: [],
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
export const weightGrad = (grad: Tensor, x: Tensor): Tensor =>
  outerProductSum(asRows(grad), asRows(x));

const asRows = (x: Tensor): Tensor => (x.rank === 1 ? unsqueeze(x, 0) : x);

export interface LinearOptions {
  /** Applied after the bias; `gelu` is the tanh form. Default: `none`. */
  activation?: (typeof activations)[number];
  /** Added last: `[..., outWidth]`. */
  residual?: Tensor | undefined;
}

/**
 * Affine map of the last dimension, with what usually follows it in the same pass.
 *
 *     activation(x · weightᵀ + bias) + residual
 *
 * The weight is rearranged for the matrix product once, and again only after it has changed.
 *
 * @param x      `[..., inWidth]`
 * @param weight `[outWidth, inWidth]`
 * @param bias   `[outWidth]`
 * @returns      `[..., outWidth]`
 * @throws ShapeError when the widths disagree, or `residual` does not have the shape of the result
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  { activation = "none", residual }: LinearOptions = {},
): Tensor {
  const code = activations.indexOf(activation);
  if (code < 0)
    throw new UsageError(
      `linear: activation must be ${activations.map((name) => `"${name}"`).join(" or ")}, got "${activation}"`,
    );
  const preactivation = activation !== "none" && isRecorded(x, weight, bias);
  const [result] = forward({ x, weight, bias, residual }, { activation: code }, { preactivation });
  return result;
}
