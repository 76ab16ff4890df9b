/** What a configuration says of steps, made. */
import type { Parameter } from "../autograd/index.js";
import type { Module } from "../nn/index.js";
import {
  Adafactor,
  AdamW,
  constantWithWarmup,
  cosineWithWarmup,
  linearWithWarmup,
  type Optimizer,
} from "../optim/index.js";
import type { TrainingConfig } from "../train/config.js";

/** Of what is trainable. Decay is for matrices: norms and biases keep what they learn. */
export function makeOptimizer(
  model: Module,
  { optimizer, learningRate }: Pick<TrainingConfig, "optimizer" | "learningRate">,
): Optimizer {
  const trainable = [...model.namedParameters()].filter(([, parameter]) => parameter.trainable);
  const decay = ({ shape }: Parameter): boolean => shape.length > 1;
  return optimizer.kind === "adamw"
    ? new AdamW(trainable, { ...optimizer, learningRate, decay })
    : new Adafactor(trainable, { ...optimizer, learningRate, decay });
}

const schedules = {
  cosine: cosineWithWarmup,
  linear: linearWithWarmup,
  constant: constantWithWarmup,
} as const;

/** Learning rates by step. */
export function makeSchedule(
  {
    schedule,
    learningRate: peak,
    warmup,
  }: Pick<TrainingConfig, "schedule" | "learningRate" | "warmup">,
  steps: number,
): (step: number) => number {
  return (step) => schedules[schedule](step, { peak, steps, warmup });
}

/** Optimizer steps of an epoch, and of the whole training. */
export function countSteps(
  { steps, epochs, accumulate }: Pick<TrainingConfig, "steps" | "epochs" | "accumulate">,
  batches: number,
): { stepsPerEpoch: number; steps: number } {
  const stepsPerEpoch = batches / accumulate;
  return { stepsPerEpoch, steps: steps ?? Math.max(1, Math.round(epochs * stepsPerEpoch)) };
}
