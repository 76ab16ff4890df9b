import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";

const adamw = defineOp({
  name: "adamw",
  inputs: ["parameters*", "gradients*", "first*", "second*", "shadows*", "scalars", "norm?"],
  attributes: ["rows*", "shadow_of*"],
  outputs: [],
  gradient: { none: "changes its parameters in place" },
});

const sgd = defineOp({
  name: "sgd",
  inputs: ["parameters*", "gradients*", "momentum*", "shadows*", "scalars", "norm?"],
  attributes: ["nesterov", "rows*", "shadow_of*"],
  outputs: [],
  gradient: { none: "changes its parameters in place" },
});

/** What both steps take; list entries with the same index belong together. */
export interface StepTensors {
  /** All float32 or all float64; changed in place. */
  parameters: readonly Tensor[];
  gradients: readonly Tensor[];
  /** float64 `[rows, columns]`: the step's numbers, on the device. */
  scalars: Tensor;
  /** Which row of `scalars` each parameter uses. */
  rows: readonly number[];
  /** Norm of all gradients: given, they are clipped to the row's clip norm. */
  norm?: Tensor | undefined;
  /** bfloat16 copies of some of the parameters, which are float32 then: the step writes both. Default: none. */
  shadows?: readonly Tensor[] | undefined;
  /** Which parameter each shadow belongs to; ascends. */
  shadowOf?: readonly number[] | undefined;
}

export interface AdamWTensors extends StepTensors {
  /** Running means of the gradients; changed in place. */
  first: readonly Tensor[];
  /** Running means of their squares; changed in place. */
  second: readonly Tensor[];
}

export interface SgdTensors extends StepTensors {
  /** Running sums of the gradients, changed in place; empty: no momentum. */
  momentum: readonly Tensor[];
  nesterov: boolean;
}

/**
 * One AdamW step over all parameters at once.
 *
 *     g = gradient · gradientScale · min(1, clipNorm / (gradientScale · norm + 1e-6))
 *     m ← m + (1 - β₁) (g - m)          v ← β₂ v + (1 - β₂) g²
 *     p ← p (1 - rate · decay) - rate / c₁ · m / (√(v / c₂) + ε)
 *
 * Nothing changes when one of the tensors has failed.
 *
 * Columns of `scalars`: gradient scale, clip norm, learning rate, weight decay, β₁, β₂, ε, c₁ = 1 - β₁ᵗ, c₂ = 1 - β₂ᵗ.
 *
 * @throws ShapeError, DTypeError when the lists do not match, UsageError when two of the tensors share memory
 * @see Loshchilov and Hutter, "Decoupled Weight Decay Regularization", arXiv:1711.05101
 */
export function adamwStep({ rows, shadows = [], shadowOf = [], ...tensors }: AdamWTensors): void {
  adamw({ ...tensors, shadows }, { rows, shadow_of: shadowOf });
}

/**
 * One step of gradient descent over all parameters at once.
 *
 *     g = gradient · gradientScale · min(1, clipNorm / (gradientScale · norm + 1e-6)) + decay · p
 *     m ← momentum · m + g
 *     p ← p - rate · (nesterov: momentum · m + g; otherwise: m; without momentum: g)
 *
 * Nothing changes when one of the tensors has failed.
 *
 * Columns of `scalars`: gradient scale, clip norm, learning rate, weight decay, momentum.
 *
 * @throws ShapeError, DTypeError when the lists do not match, UsageError when two of the tensors share memory
 */
export function sgdStep({
  rows,
  nesterov,
  shadows = [],
  shadowOf = [],
  ...tensors
}: SgdTensors): void {
  sgd({ ...tensors, shadows }, { nesterov: Number(nesterov), rows, shadow_of: shadowOf });
}
