import { UsageError } from "../errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import { isRecorded } from "./tape.js";

/** The wire code is the position. */
const reductions = ["none", "sum", "mean"] as const;

const forward = defineOp({
  name: "cross_entropy",
  inputs: ["logits", "targets", "weights?"],
  attributes: ["ignore_index", "label_smoothing", "reduction"],
  outputs: ["loss", "log_sum_exp?", "total_weight?"],
  gradient: {
    saves: ["logits", "targets", "weights", "log_sum_exp", "total_weight"],
    rule({ saved, attributes: { ignore_index, label_smoothing }, grad, needs }) {
      if (needs.weights)
        throw new UsageError("crossEntropy: weights have no gradient; detach them from the loss");
      const [logits] = backward(
        { ...saved, log_sum_exp: saved.log_sum_exp!, grad },
        { ignore_index, label_smoothing },
      );
      return { logits };
    },
  },
});

const backward = defineOp({
  name: "cross_entropy_backward",
  inputs: ["grad", "logits", "targets", "log_sum_exp", "weights?", "total_weight?"],
  attributes: ["ignore_index", "label_smoothing"],
  outputs: ["logits_grad"],
  gradient: { none: "second derivatives are not supported" },
});

export interface CrossEntropyOptions {
  /** Multiplies the loss of each row: `[...]`, the shape of `targets`. A constant for gradients. */
  weights?: Tensor | undefined;
  /** Rows with this target do not count: loss 0, gradient 0. Default: -100. */
  ignoreIndex?: number;
  /** Share of the target's probability that is spread over all classes, 0 to 1. Default: 0. */
  labelSmoothing?: number;
  /** `mean` divides by the sum of the weights of the rows that count. Default: `mean`. */
  reduction?: (typeof reductions)[number];
}

/**
 * Cross-entropy of logits with target classes; probabilities are never materialised.
 *
 *     log Σ exp logits - (1 - labelSmoothing) · logits[target] - labelSmoothing · mean logits
 *
 * Where no row counts, the mean is 0 and so is its gradient (PyTorch gives NaN).
 *
 * @param logits  `[..., classes]`, float32 or float64
 * @param targets `[...]`, int32; one outside the classes, other than `ignoreIndex`, is a fault
 * @returns       a scalar, or `[...]` for `none`
 * @throws ShapeError when targets or weights do not match the rows of logits
 */
export function crossEntropy(
  logits: Tensor,
  targets: Tensor,
  { weights, ignoreIndex = -100, labelSmoothing = 0, reduction = "mean" }: CrossEntropyOptions = {},
): Tensor {
  const code = reductions.indexOf(reduction);
  if (code < 0)
    throw new UsageError(
      `crossEntropy: reduction must be ${reductions.map((name) => `"${name}"`).join(" or ")}, got "${reduction}"`,
    );
  const recorded = isRecorded(logits);
  const [loss] = forward(
    { logits, targets, weights },
    { ignore_index: ignoreIndex, label_smoothing: labelSmoothing, reduction: code },
    { log_sum_exp: recorded, total_weight: recorded },
  );
  return loss;
}
