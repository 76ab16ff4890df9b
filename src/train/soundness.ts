import { TrainingError } from "../errors.js";
import type { Module } from "../nn/index.js";
import { globalNorm } from "../ops/index.js";
import type { Optimizer } from "../optim/index.js";
import { type Tensor, tidy } from "../tensor/index.js";
import type { StepReading } from "./train-step.js";

/**
 * @param kept the last checkpoint, if there is one
 * @throws TrainingError when a loss or the gradients were not finite
 */
export function requireFinite(step: number, reading: StepReading, kept: string | undefined): void {
  const { losses, counted, gradientNorm } = reading;
  const faulty = Object.entries({ ...losses, "gradient norm": gradientNorm }).filter(
    ([, value]) => !Number.isFinite(value),
  );
  if (faulty.length === 0) return;
  const found = faulty.map(([name, value]) => {
    const shown = name === "gradient norm" ? value : value / Math.max(1, counted);
    return `${name} ${shown}`;
  });
  throw diverged(`step ${step}: not finite: ${found.join(", ")}`, kept);
}

/**
 * Looks at what a checkpoint would hold: neither weights that are no numbers any more, nor such that a failed op left.
 *
 * @throws TrainingError when they are not finite
 * @throws NativeError when they could not be computed
 */
export async function requireSound(
  step: number,
  model: Module,
  optimizer: Optimizer,
  kept: string | undefined,
): Promise<void> {
  const weights = model.trainable().map(({ value }) => value);
  const subjects = { weights, "state of the optimizer": [...optimizer.state().values()] };
  for (const [subject, tensors] of Object.entries(subjects))
    for (const dtype of ["float32", "float64"] as const) {
      const norm = await normOf(tensors.filter((tensor) => tensor.dtype === dtype));
      if (!Number.isFinite(norm))
        throw diverged(`step ${step}: the norm of the ${subject} is ${norm}`, kept);
    }
}

async function normOf(tensors: readonly Tensor[]): Promise<number> {
  if (tensors.length === 0) return 0;
  using norm = tidy(() => globalNorm(tensors));
  return await norm.item();
}

function diverged(what: string, kept: string | undefined): TrainingError {
  const advice = "lower the learning rate, warm up longer or set clipNorm";
  const rest = kept === undefined ? "" : `; the last checkpoint is ${kept}`;
  return new TrainingError(`${what}; ${advice}${rest}`);
}
