import type { Gradients } from "../autograd/value-and-grad.js";
import { UsageError } from "../errors.js";
import { sgdStep } from "../ops/index.js";
import { Optimizer } from "./optimizer.js";
import {
  type OptimizerParameters,
  type PerParameterOptions,
  requireNumber,
  Slots,
  type StateLayout,
  type StepOptions,
  type StepResult,
} from "./slots.js";

export interface SGDOptions extends PerParameterOptions {
  /** Default: 1e-2. */
  learningRate?: number | undefined;
  /** Share of the running sum of gradients that a step keeps. Default: 0, no sum. */
  momentum?: number | undefined;
  /** Whether to step along the sum as it will be after the next gradient. Default: false. */
  nesterov?: boolean | undefined;
  /** Share of the parameter that is added to its gradient. Default: 0. */
  weightDecay?: number | undefined;
}

/**
 * Stochastic gradient descent; the numbers are those of `torch.optim.SGD`.
 *
 *     g = gradient + decay · p        m ← momentum · m + g
 *     p ← p - rate · (nesterov: momentum · m + g; otherwise: m)
 *
 * Parameters without a gradient are left alone, and so are their m.
 */
export class SGD extends Optimizer {
  learningRate: number;
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly weightDecay: number;

  /** @throws UsageError when a number is out of its range, or a parameter or a name is there twice */
  constructor(parameters: OptimizerParameters, options: SGDOptions = {}) {
    const { learningRate = 1e-2, momentum = 0, nesterov = false, weightDecay = 0 } = options;
    requireNumber("SGD", "learningRate", learningRate, 0);
    requireNumber("SGD", "momentum", momentum, 0);
    requireNumber("SGD", "weightDecay", weightDecay, 0);
    if (nesterov && momentum === 0) throw new UsageError("SGD: nesterov needs a momentum above 0");
    super(
      new Slots(
        "SGD",
        (value): ReturnType<StateLayout> => (momentum === 0 ? {} : { momentum: value }),
        parameters,
        options,
      ),
    );
    this.learningRate = learningRate;
    this.momentum = momentum;
    this.nesterov = nesterov;
    this.weightDecay = weightDecay;
  }

  /**
   * Changes the parameters in place. When one of the gradients has failed, nothing changes.
   *
   * @throws ShapeError, DTypeError when a gradient is not like its parameter
   */
  step(gradients: Gradients, options: StepOptions = {}): StepResult {
    return this.slots.step(gradients, options, this, [this.momentum], (step, state) =>
      sgdStep({ ...step, momentum: state("momentum"), nesterov: this.nesterov }),
    );
  }
}
