import { TrainingError, UsageError } from "../errors.js";
import type { Module } from "../nn/index.js";
import type { Generator } from "../ops/index.js";
import { restore, statesOf } from "./randomness.js";
import { rememberModes } from "./training-modes.js";

/** How a model is measured while it is trained. */
export interface ValidationOptions {
  /** Steps from one validation to the next. The last step is always validated. */
  every: number;
  /** Measures the model, which is in evaluation mode. Rejects with the signal's reason once that aborts. */
  run(signal: AbortSignal | undefined): Promise<Readonly<Record<string, number>>>;
  /** Which of the values decides what the best checkpoint is; higher is better. */
  monitor: string;
  /** Validations without a better value after which training stops. Default: it goes on to the last step. */
  patience?: number | undefined;
}

/**
 * Validates without a trace: which parts of the model are training, and the random numbers to come, are as before.
 *
 * @returns all values, and the one that is monitored
 * @throws UsageError when it is not among them
 */
export async function validate(
  model: Module,
  { run, monitor }: ValidationOptions,
  generators: readonly Generator[],
  signal: AbortSignal | undefined,
): Promise<{ values: Readonly<Record<string, number>>; monitored: number }> {
  const putBack = rememberModes(model);
  const randomness = statesOf(generators);
  try {
    model.eval();
    const values = await run(signal);
    const monitored = values[monitor];
    if (monitored === undefined)
      throw new UsageError(
        `validation: monitor "${monitor}" is not among ${Object.keys(values).join(", ")}`,
      );
    if (Number.isNaN(monitored)) throw new TrainingError(`validation: ${monitor} is NaN`);
    return { values, monitored };
  } finally {
    putBack();
    restore(generators, randomness);
  }
}
