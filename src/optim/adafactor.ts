import type { Gradients } from "../autograd/value-and-grad.js";
import { UsageError } from "../errors.js";
import { adafactorStep } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Optimizer } from "./optimizer.js";
import {
  type OptimizerParameters,
  type PerParameterOptions,
  requireNumber,
  Slots,
  type StateLayout,
  type StepOptions,
  type StepResult,
  stepCount,
} from "./slots.js";

export interface AdafactorOptions extends PerParameterOptions {
  /** Needed, unless steps are relative. With `scaleParameter`, a share of the parameter's own size. */
  learningRate?: number | undefined;
  /** Added to the squares of gradients; the least size of a parameter for `scaleParameter`. Default: [1e-30, 1e-3]. */
  eps?: readonly [number, number] | undefined;
  /** An update whose root mean square exceeds it is scaled down to it. Default: 1. */
  clipThreshold?: number | undefined;
  /** The running means keep 1 - t^decayRate of what they have. Default: -0.8. */
  decayRate?: number | undefined;
  /** How long a running mean of the updates remembers. Default: there is none. */
  beta1?: number | undefined;
  /** Share of the parameter, times the learning rate, that a step takes away. Default: 0. */
  weightDecay?: number | undefined;
  /** Whether the learning rate is multiplied with the parameter's root mean square, `eps[1]` at least. Default: true. */
  scaleParameter?: boolean | undefined;
  /** Whether min(0.01, 1 / √t) is the learning rate. Default: false. */
  relativeStep?: boolean | undefined;
  /** Whether relative steps begin at t / 1,000,000 instead of 0.01. Default: false. */
  warmupInit?: boolean | undefined;
}

/**
 * Adafactor: the second moment of a matrix is kept as the means of its rows and of its columns, so that the state is
 * small against the parameters. The numbers are those of `transformers.optimization.Adafactor`.
 *
 *     s = g² + ε₁        β = 1 - t^decayRate        α = rate · max(ε₂, RMS(p))
 *     R ← β R + (1 - β) row means of s              C ← β C + (1 - β) column means of s
 *     u = g / √(R Cᵀ / mean R)                      p ← p - α · decay · p - α · u / max(1, RMS(u) / threshold)
 *
 * Dimensions before the last two make a stack of matrices; scalars and vectors keep the mean of s itself. Parameters
 * without a gradient are left alone, and so are their state and t.
 *
 *     const optimizer = new Adafactor(model.namedParameters(), { learningRate: 0.1 });
 *
 * `relativeStep` is off here and on in transformers, which has no learning rate then. `torch.optim.Adafactor` differs:
 * its learning rate is an upper limit of the relative step, ε₁ is no part of s but the least denominator, weight decay
 * is not scaled with the parameter, and there is no running mean of updates.
 *
 * @see Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", arXiv:1804.04235
 */
export class Adafactor extends Optimizer {
  /** `undefined` where steps are relative. */
  learningRate: number | undefined;
  readonly eps: readonly [number, number];
  readonly clipThreshold: number;
  readonly decayRate: number;
  readonly beta1: number | undefined;
  readonly weightDecay: number;
  readonly scaleParameter: boolean;
  readonly relativeStep: boolean;
  readonly warmupInit: boolean;

  /**
   * @throws UsageError when a number is out of its range, a parameter or a name is there twice, or there is not one of
   *         `learningRate` and `relativeStep`
   */
  constructor(parameters: OptimizerParameters, options: AdafactorOptions) {
    const { learningRate, eps = [1e-30, 1e-3], clipThreshold = 1, decayRate = -0.8 } = options;
    const { beta1, weightDecay = 0, scaleParameter = true } = options;
    const { relativeStep = false, warmupInit = false } = options;
    if ((learningRate === undefined) !== relativeStep)
      throw new UsageError("Adafactor: give either learningRate or relativeStep");
    if (warmupInit && !relativeStep)
      throw new UsageError("Adafactor: warmupInit needs relativeStep");
    requireNumber("Adafactor", "learningRate", learningRate ?? 0, 0);
    requireNumber("Adafactor", "eps[0]", eps[0], 0);
    requireNumber("Adafactor", "eps[1]", eps[1], 0);
    requireNumber("Adafactor", "clipThreshold", clipThreshold, 1e-6);
    requireNumber("Adafactor", "decayRate", decayRate, -1, 0);
    requireNumber("Adafactor", "beta1", beta1 ?? 0, 0, 1);
    requireNumber("Adafactor", "weightDecay", weightDecay, 0);
    super(
      new Slots("Adafactor", (value) => layoutOf(value, beta1 !== undefined), parameters, options),
    );
    this.learningRate = learningRate;
    this.eps = eps;
    this.clipThreshold = clipThreshold;
    this.decayRate = decayRate;
    this.beta1 = beta1;
    this.weightDecay = weightDecay;
    this.scaleParameter = scaleParameter;
    this.relativeStep = relativeStep;
    this.warmupInit = warmupInit;
  }

  /**
   * Changes the parameters in place. When one of the gradients has failed, nothing changes, and no step is counted.
   *
   * @throws ShapeError, DTypeError when a gradient is not like its parameter, UsageError when a learning rate is given
   *         although steps are relative
   */
  step(gradients: Gradients, options: StepOptions = {}): StepResult {
    if (this.relativeStep && (options.learningRate ?? this.learningRate) !== undefined)
      throw new UsageError("Adafactor: relative steps have no learningRate");
    const { learningRate = 1, weightDecay, beta1 = 0, eps, decayRate, clipThreshold } = this;
    const relative = this.warmupInit ? "relative-with-warmup" : "relative";
    return this.slots.step(
      gradients,
      options,
      { learningRate, weightDecay },
      [beta1, decayRate, ...eps, clipThreshold],
      (step, state) =>
        adafactorStep({
          ...step,
          row: state("row"),
          column: state("column"),
          second: state("second"),
          first: state("first"),
          steps: state("step"),
          scaleParameter: this.scaleParameter,
          relativeStep: this.relativeStep ? relative : "none",
        }),
    );
  }
}

/** A matrix, or a stack of them, keeps means of its rows and columns alone. */
function layoutOf({ shape, dtype }: Tensor, hasFirst: boolean): ReturnType<StateLayout> {
  const [rows, columns] = [shape.slice(0, -1), [...shape.slice(0, -2), ...shape.slice(-1)]];
  return {
    ...(shape.length >= 2
      ? { row: { shape: rows, dtype }, column: { shape: columns, dtype } }
      : { second: { shape, dtype } }),
    ...(hasFirst ? { first: { shape, dtype } } : {}),
    step: stepCount,
  };
}
