import type { Gradients } from "../autograd/value-and-grad.js";
import { lionStep } from "../ops/index.js";
import { Optimizer } from "./optimizer.js";
import {
  type OptimizerParameters,
  type PerParameterOptions,
  requireNumber,
  Slots,
  type StepOptions,
  type StepResult,
} from "./slots.js";

export interface LionOptions extends PerParameterOptions {
  /** Some three to ten times smaller than AdamW's. Default: 1e-4. */
  learningRate?: number | undefined;
  /** How much of the running mean is in a step's direction, and how long it remembers. Default: [0.9, 0.99]. */
  betas?: readonly [number, number] | undefined;
  /** Share of the parameter, times the learning rate, that a step takes away; larger than AdamW's. Default: 0. */
  weightDecay?: number | undefined;
}

/**
 * Lion: every element moves by the learning rate, in the direction of a running mean. Half of AdamW's state.
 *
 *     p ← p - rate · decay · p - rate · sign(β₁ m + (1 - β₁) g)
 *     m ← β₂ m + (1 - β₂) g
 *
 * Parameters without a gradient are left alone, and so are their m.
 *
 * @see Chen et al., "Symbolic Discovery of Optimization Algorithms", arXiv:2302.06675, algorithm 2
 */
export class Lion extends Optimizer {
  learningRate: number;
  readonly betas: readonly [number, number];
  readonly weightDecay: number;

  /** @throws UsageError when a number is out of its range, or a parameter or a name is there twice */
  constructor(parameters: OptimizerParameters, options: LionOptions = {}) {
    const { learningRate = 1e-4, betas = [0.9, 0.99], weightDecay = 0 } = options;
    requireNumber("Lion", "learningRate", learningRate, 0);
    requireNumber("Lion", "betas[0]", betas[0], 0, 1);
    requireNumber("Lion", "betas[1]", betas[1], 0, 1);
    requireNumber("Lion", "weightDecay", weightDecay, 0);
    super(new Slots("Lion", (value) => ({ momentum: value }), parameters, options));
    this.learningRate = learningRate;
    this.betas = betas;
    this.weightDecay = weightDecay;
  }

  /**
   * Changes the parameters in place. When one of the gradients has failed, nothing changes.
   *
   * @throws ShapeError, DTypeError when a gradient is not like its parameter
   */
  step(gradients: Gradients, options: StepOptions = {}): StepResult {
    return this.slots.step(gradients, options, this, this.betas, (step, state) =>
      lionStep({ ...step, momentum: state("momentum") }),
    );
  }
}
