import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";

const norm = defineOp({
  name: "global_norm",
  inputs: ["gradients*"],
  attributes: [],
  outputs: ["result"],
  gradient: { none: "for gradients, not for losses" },
});

const clip = defineOp({
  name: "clip_by_norm",
  inputs: ["x", "norm", "limit"],
  attributes: [],
  outputs: ["result"],
  gradient: { none: "for gradients, not for losses" },
});

const accumulate = defineOp({
  name: "accumulate_weighted",
  inputs: ["targets*", "values*", "total", "weight"],
  attributes: [],
  outputs: [],
  gradient: { none: "changes its targets in place" },
});

const divide = defineOp({
  name: "divide_by",
  inputs: ["targets*", "divisor"],
  attributes: [],
  outputs: [],
  gradient: { none: "changes its targets in place" },
});

const scale = defineOp({
  name: "scale_gradients",
  inputs: ["gradients*", "by"],
  attributes: [],
  outputs: [],
  gradient: { none: "changes its gradients in place" },
});

/**
 * Euclidean norm of all tensors together, summed in double precision.
 *
 *     √ Σ x²        over every element of every tensor
 *
 * @param gradients all float32 or all float64
 * @returns a scalar of their dtype; 0 for no tensors
 * @throws DTypeError when the dtypes differ
 */
export function globalNorm(gradients: readonly Tensor[]): Tensor {
  const [result] = norm({ gradients }, {});
  return result;
}

/**
 * Scales `x` as `torch.nn.utils.clip_grad_norm_` does.
 *
 *     x · min(1, limit / (norm + 1e-6))
 *
 * @param x     one of the gradients that `norm` is of
 * @param norm  one element
 * @param limit one element, float64
 * @returns the shape of `x`
 * @throws ShapeError, DTypeError
 */
export function clipByNorm(x: Tensor, norm: Tensor, limit: Tensor): Tensor {
  const [result] = clip({ x, norm, limit }, {});
  return result;
}

/**
 * Adds to a weighted sum in place: `targets[i] += weight · values[i]` and `total += weight`. A weight of 0 adds
 * nothing, whatever the values are.
 *
 * @param targets all float32 or all float64; their owner keeps them to itself
 * @param values  shapes and dtype of `targets`
 * @param total   one element, float64
 * @param weight  one element, float32, float64 or int32
 * @throws ShapeError, DTypeError, UsageError when two targets share memory, or one with a value
 */
export function accumulateWeighted(
  targets: readonly Tensor[],
  values: readonly Tensor[],
  total: Tensor,
  weight: Tensor,
): void {
  accumulate({ targets, values, total, weight }, {});
}

/**
 * Divides in place: `targets[i] /= divisor`. A divisor of 0 changes nothing.
 *
 * @param targets all float32 or all float64; their owner keeps them to itself
 * @param divisor one element, float64
 * @throws ShapeError, DTypeError, UsageError when two targets share memory
 */
export function divideBy(targets: readonly Tensor[], divisor: Tensor): void {
  divide({ targets, divisor }, {});
}

/**
 * Multiplies in place: `gradients[i] *= by`. A factor of exactly 1 touches nothing.
 *
 * @param gradients all float32 or all float64; their owner keeps them to itself
 * @param by        one element of their dtype
 * @throws ShapeError, DTypeError, UsageError when two tensors share memory
 */
export function scaleGradients(gradients: readonly Tensor[], by: Tensor): void {
  scale({ gradients, by }, {});
}
