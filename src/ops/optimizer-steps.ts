import type { Tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";

const adamw = defineOp({
  name: "adamw",
  inputs: [
    "parameters*",
    "gradients*",
    "first*",
    "second*",
    "steps*",
    "shadows*",
    "scalars",
    "norm?",
  ],
  attributes: ["rows*", "shadow_of*"],
  outputs: [],
  gradient: { none: "changes its parameters in place" },
});

const lion = defineOp({
  name: "lion",
  inputs: ["parameters*", "gradients*", "momentum*", "shadows*", "scalars", "norm?"],
  attributes: ["rows*", "shadow_of*"],
  outputs: [],
  gradient: { none: "changes its parameters in place" },
});

const adafactor = defineOp({
  name: "adafactor",
  inputs: [
    "parameters*",
    "gradients*",
    "row*",
    "column*",
    "second*",
    "first*",
    "steps*",
    "shadows*",
    "scalars",
    "norm?",
  ],
  attributes: ["scale_parameter", "relative_step", "rows*", "shadow_of*"],
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

/** Number of steps taken, which a step counts: float32 tensors with one element. */
interface CountsSteps {
  steps: readonly Tensor[];
}

export interface AdamWTensors extends StepTensors, CountsSteps {
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

export interface LionTensors extends StepTensors {
  /** Running means of the gradients; changed in place. */
  momentum: readonly Tensor[];
}

export interface AdafactorTensors extends StepTensors, CountsSteps {
  /** Means of the squared gradient over each row, `[..., rows]`, of the parameters `[..., rows, columns]`. */
  row: readonly Tensor[];
  /** Means over each column, `[..., columns]`, of the same parameters. */
  column: readonly Tensor[];
  /** Running means of the squared gradients of all other parameters: scalars and vectors. */
  second: readonly Tensor[];
  /** Running means of the updates, of all parameters; empty: none. */
  first: readonly Tensor[];
  /** Whether the rate is relative to the root mean square of the parameter. */
  scaleParameter: boolean;
  /** What the learning rate is multiplied with: 1; min(0.01, 1 / √t); min(t / 1,000,000, 1 / √t). */
  relativeStep: "none" | "relative" | "relative-with-warmup";
}

/**
 * One AdamW step over all parameters at once.
 *
 *     g = gradient · gradientScale · min(1, clipNorm / (gradientScale · norm + 1e-6))
 *     m ← m + (1 - β₁) (g - m)          v ← β₂ v + (1 - β₂) g²
 *     p ← p (1 - rate · decay) - rate · m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε)
 *
 * Nothing changes when one of the tensors has failed.
 *
 * Columns of `scalars`: gradient scale, clip norm, learning rate, weight decay, β₁, β₂, ε. t is the number of this step.
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

/**
 * One Lion step over all parameters at once.
 *
 *     g = gradient · gradientScale · min(1, clipNorm / (gradientScale · norm + 1e-6))
 *     p ← p (1 - rate · decay) - rate · sign(β₁ m + (1 - β₁) g)
 *     m ← β₂ m + (1 - β₂) g
 *
 * Nothing changes when one of the tensors has failed.
 *
 * Columns of `scalars`: gradient scale, clip norm, learning rate, weight decay, β₁, β₂.
 *
 * @throws ShapeError, DTypeError when the lists do not match, UsageError when two of the tensors share memory
 * @see Chen et al., "Symbolic Discovery of Optimization Algorithms", arXiv:2302.06675, algorithm 2
 */
export function lionStep({ rows, shadows = [], shadowOf = [], ...tensors }: LionTensors): void {
  lion({ ...tensors, shadows }, { rows, shadow_of: shadowOf });
}

const relativeSteps = ["none", "relative", "relative-with-warmup"] as const;

/**
 * One Adafactor step over all parameters at once.
 *
 *     g = gradient · gradientScale · min(1, clipNorm / (gradientScale · norm + 1e-6))       s = g² + ε₁
 *     R ← β R + (1 - β) row means of s       C ← β C + (1 - β) column means of s       β = 1 - t^decayRate
 *     u = g / √(R Cᵀ / mean R)               of a vector: v ← β v + (1 - β) s, u = g / √v
 *     α = rate · relative step · (scaleParameter: max(ε₂, RMS(p)); otherwise: 1)
 *     p ← p - α · decay · p - α · u / max(1, RMS(u) / threshold)
 *
 * With `first`, its running mean takes the place of the last term: m ← β₁ m + (1 - β₁) · (that term). RMS is over the
 * whole tensor, R and C belong to each matrix of a stack. Nothing changes when one of the tensors has failed.
 *
 * Columns of `scalars`: gradient scale, clip norm, learning rate, weight decay, β₁, decayRate, ε₁, ε₂, threshold. t is
 * the number of this step.
 *
 * @throws ShapeError, DTypeError when the lists do not match, UsageError when two of the tensors share memory
 * @see Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", arXiv:1804.04235
 */
export function adafactorStep({
  rows,
  scaleParameter,
  relativeStep,
  shadows = [],
  shadowOf = [],
  ...tensors
}: AdafactorTensors): void {
  adafactor(
    { ...tensors, shadows },
    {
      scale_parameter: Number(scaleParameter),
      relative_step: relativeSteps.indexOf(relativeStep),
      rows,
      shadow_of: shadowOf,
    },
  );
}
