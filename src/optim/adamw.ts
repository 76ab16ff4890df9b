import type { Gradients } from "../autograd/value-and-grad.js";
import { adamwStep } from "../ops/index.js";
import { Optimizer } from "./optimizer.js";
import {
  type OptimizerParameters,
  type PerParameterOptions,
  requireNumber,
  Slots,
  type StepOptions,
  type StepResult,
  stepCount,
} from "./slots.js";

export interface AdamWOptions extends PerParameterOptions {
  /** Default: 1e-3. */
  learningRate?: number | undefined;
  /** How long the running means of gradients and of their squares remember. Default: [0.9, 0.999]. */
  betas?: readonly [number, number] | undefined;
  /** Added to the root of the second mean. Default: 1e-8. */
  eps?: number | undefined;
  /** Share of the parameter, times the learning rate, that a step takes away. Default: 0.01. */
  weightDecay?: number | undefined;
}

/**
 * Adam with decoupled weight decay; the numbers are those of `torch.optim.AdamW`.
 *
 *     m ← β₁ m + (1 - β₁) g        v ← β₂ v + (1 - β₂) g²
 *     p ← p - rate · decay · p - rate · m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε)
 *
 * Parameters without a gradient are left alone, and so are their m, v and t.
 *
 *     const optimizer = new AdamW(model.namedParameters(), { decay: ({ shape }) => shape.length > 1 });
 *
 * @see Loshchilov and Hutter, "Decoupled Weight Decay Regularization", arXiv:1711.05101
 */
export class AdamW extends Optimizer {
  learningRate: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;

  /** @throws UsageError when a number is out of its range, or a parameter or a name is there twice */
  constructor(parameters: OptimizerParameters, options: AdamWOptions = {}) {
    const { learningRate = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01 } = options;
    requireNumber("AdamW", "learningRate", learningRate, 0);
    requireNumber("AdamW", "betas[0]", betas[0], 0, 1);
    requireNumber("AdamW", "betas[1]", betas[1], 0, 1);
    requireNumber("AdamW", "eps", eps, 0);
    requireNumber("AdamW", "weightDecay", weightDecay, 0);
    super(
      new Slots(
        "AdamW",
        (value) => ({ first: value, second: value, step: stepCount }),
        parameters,
        options,
      ),
    );
    this.learningRate = learningRate;
    this.betas = betas;
    this.eps = eps;
    this.weightDecay = weightDecay;
  }

  /**
   * Changes the parameters in place. When one of the gradients has failed, nothing changes, and no step is counted.
   *
   * @throws ShapeError, DTypeError when a gradient is not like its parameter
   */
  step(gradients: Gradients, options: StepOptions = {}): StepResult {
    const [beta1, beta2] = this.betas;
    return this.slots.step(gradients, options, this, [beta1, beta2, this.eps], (step, state) =>
      adamwStep({ ...step, first: state("first"), second: state("second"), steps: state("step") }),
    );
  }
}
