import { DTypeError, UsageError } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { cast } from "./cast.js";
import { defineOp } from "./define-op.js";
import { scaleGradients } from "./gradients.js";
import { type Precision, precisionCode } from "./precision.js";
import { isRecorded } from "./tape.js";

/** The wire code is the position. */
const reductions = ["none", "sum", "mean"] as const;

const forward = defineOp({
  name: "linear_cross_entropy",
  inputs: ["x", "weight", "bias?", "shadow?", "targets", "weights?", "target_weights?"],
  attributes: ["ignore_index", "label_smoothing", "soft_cap", "reduction", "precision"],
  outputs: ["loss", "x_grad?", "weight_grad?", "bias_grad?"],
  gradient: {
    saves: ["x_grad", "weight_grad", "bias_grad"],
    rule({ saved: { x_grad: x, weight_grad: weight, bias_grad: bias }, grad }) {
      scaleGradients(
        [x, weight, bias].filter((gradient) => gradient !== undefined),
        grad,
      );
      return { x, weight, bias };
    },
  },
});

export interface LinearCrossEntropyOptions {
  /** Added to the logits: `[classes]`. */
  bias?: Tensor | undefined;
  /** Multiplies the loss of each row: `[...]`. A constant for gradients. */
  weights?: Tensor | undefined;
  /**
   * Share of each target in the loss of its row: the shape of `targets`. A constant for gradients. Default: a row's
   * counting targets share 1 evenly.
   */
  targetWeights?: Tensor | undefined;
  /** Targets of this value do not count; a row without any other has loss 0 and gradient 0. Default: -100. */
  ignoreIndex?: number;
  /** Share of the targets' probability that is spread over all classes, 0 to 1. Default: 0. */
  labelSmoothing?: number;
  /** Logits become `softCap · tanh(logits / softCap)`. Default: none. */
  softCap?: number | undefined;
  /**
   * `mean` divides by the sum of the `weights` of the rows that count, whatever their target weights are. `none` is
   * for evaluation. Default: `mean`.
   */
  reduction?: (typeof reductions)[number];
  /**
   * `bfloat16` rounds what is multiplied: x, weight, and the gradient of the logits. Sums, the softmax, the loss and
   * gradients stay float32. A bfloat16 `weight` implies it. Default: `float32`, which leaves operands as they are.
   */
  precision?: Precision;
  /** `weight` in bfloat16 (`Parameter.shadow`), read in its place by `precision: "bfloat16"`. */
  shadow?: Tensor | undefined;
}

/**
 * Cross-entropy of the logits `x · weightᵀ + bias`, which never lie in memory as a matrix.
 *
 *     logits = softCap · tanh((x · weightᵀ + bias) / softCap)
 *     Σ targetWeights · (log Σ exp logits - (1 - labelSmoothing) · logits[target] - labelSmoothing · mean logits)
 *
 * Where something wants a gradient, the gradients are made along with the loss, three matrix products in all; the
 * backward pass only scales them. That needs the weight of each row in the total before it is known what becomes of
 * the loss, so `none` gives numbers to look at and cannot be differentiated.
 *
 * Where no row counts, the mean is 0 and so is its gradient (PyTorch gives NaN). Rows that do not count cost nothing.
 *
 * @param x       `[..., width]`, float32, float64 or bfloat16
 * @param weight  `[classes, width]`: of a linear layer, or the table of an embedding; its gradient is float32
 * @param targets `[...]`, or `[..., k]` for several targets of a row, as the values of a bag; int32. One outside the
 *                classes, other than `ignoreIndex`, is a fault
 * @returns       a scalar, or `[...]` for `none`; float64 where x is, else float32
 * @throws ShapeError when the widths disagree, or targets or weights do not match the rows of x
 * @throws DTypeError when the dtypes of x and weight differ, except that a bfloat16 weight goes with a float32 x, and,
 * with `precision: "bfloat16"`, the other way round
 * @throws UsageError when `weights` or `targetWeights` want a gradient, or anything does with `none`
 * @see Wijmans et al., "Cut Your Losses in Large-Vocabulary Language Models", arXiv:2411.09009, for the idea
 */
export function linearCrossEntropy(
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  {
    bias,
    weights,
    targetWeights,
    ignoreIndex = -100,
    labelSmoothing = 0,
    softCap,
    reduction = "mean",
    precision = "float32",
    shadow,
  }: LinearCrossEntropyOptions = {},
): Tensor {
  const code = reductions.indexOf(reduction);
  if (code < 0)
    throw new UsageError(
      `linearCrossEntropy: reduction must be ${reductions.map((name) => `"${name}"`).join(" or ")}, got "${reduction}"`,
    );
  if (softCap !== undefined && !(softCap > 0))
    throw new UsageError(`linearCrossEntropy: softCap must be positive, got ${softCap}`);
  if (isRecorded(weights, targetWeights))
    throw new UsageError(
      "linearCrossEntropy: weights and targetWeights have no gradient; detach them from the loss",
    );
  if (reduction === "none" && isRecorded(x, weight, bias))
    throw new UsageError(
      'linearCrossEntropy: reduction "none" has no gradient; take "sum" or "mean" with weights, or noGrad',
    );
  if (x.dtype === "bfloat16" && weight.dtype === "float32" && precision !== "bfloat16")
    throw new DTypeError(
      'linearCrossEntropy: x is bfloat16 and weight is float32; a float32 weight needs precision "bfloat16"',
    );
  const wide = x.dtype === "bfloat16" ? cast(x, "float32") : x;
  const [loss] = forward(
    { x: wide, weight, bias, shadow, targets, weights, target_weights: targetWeights },
    {
      ignore_index: ignoreIndex,
      label_smoothing: labelSmoothing,
      soft_cap: softCap ?? 0,
      reduction: code,
      precision: precisionCode("linearCrossEntropy", precision),
    },
    { x_grad: isRecorded(wide), weight_grad: isRecorded(weight), bias_grad: isRecorded(bias) },
  );
  return loss;
}
