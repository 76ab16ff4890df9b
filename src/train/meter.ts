import type { StepReading } from "./train-step.js";

/** Sums over the steps since the last line of the log. Plain data, so that a resumed run writes the same line. */
export interface MeterState {
  readonly steps: number;
  readonly examples: number;
  readonly positions: number;
  /** What the losses were means over. */
  readonly counted: number;
  /** Spent on these steps. */
  readonly seconds: number;
  /** Each loss times what it was the mean over: `loss` and `loss/<feature>`. */
  readonly losses: Readonly<Record<string, number>>;
  readonly gradientNorms: number;
}

export const emptyMeter: MeterState = {
  steps: 0,
  examples: 0,
  positions: 0,
  counted: 0,
  seconds: 0,
  losses: {},
  gradientNorms: 0,
};

export function metered(meter: MeterState, step: StepReading, seconds: number): MeterState {
  const losses = { ...meter.losses };
  for (const [name, sum] of Object.entries(step.losses)) losses[name] = (losses[name] ?? 0) + sum;
  return {
    steps: meter.steps + 1,
    examples: meter.examples + step.examples,
    positions: meter.positions + step.positions,
    counted: meter.counted + step.counted,
    seconds: meter.seconds + seconds,
    losses,
    gradientNorms: meter.gradientNorms + step.gradientNorm,
  };
}

/** What the log says of the steps: means, and rates a second. */
export function metricsOf(meter: MeterState, learningRate: number): Record<string, number> {
  const { steps, examples, positions, counted, seconds, losses, gradientNorms } = meter;
  const means = Object.entries(losses).map(([name, sum]) => [name, sum / Math.max(1, counted)]);
  const perSecond = (amount: number) => amount / Math.max(seconds, 1e-9);
  return {
    ...(Object.fromEntries(means) as Record<string, number>),
    learningRate,
    gradientNorm: gradientNorms / Math.max(1, steps),
    examplesPerSecond: perSecond(examples),
    positionsPerSecond: perSecond(positions),
  };
}
