import { UsageError } from "../errors.js";
import type { FitOptions, TrainingBatch } from "./fit.js";

/** @throws UsageError for a number that is out of its range */
export function requireOptions<B extends TrainingBatch>(options: FitOptions<B>): void {
  const { steps, accumulate, logEvery, validation, checkpoints, resume } = options;
  const counts = {
    ...{ steps, accumulate, logEvery },
    "validation.every": validation?.every,
    "validation.patience": validation?.patience,
    "checkpoints.every": checkpoints?.every,
    "checkpoints.keep": checkpoints?.keep,
  };
  for (const [name, value] of Object.entries(counts))
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1))
      throw new UsageError(`fit: ${name} must be a whole number from 1, got ${value}`);
  if (steps === undefined) throw new UsageError("fit: steps is missing");
  if (resume !== undefined && checkpoints === undefined)
    throw new UsageError("fit: resume needs checkpoints");
}
