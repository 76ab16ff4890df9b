import { saveCheckpoint, updateCheckpoint } from "./checkpoint/save-checkpoint.js";
import { lastCheckpoint, type Run, stateOf } from "./current-run.js";
import { exhausted, judged } from "./early-stopping.js";
import type { FitOptions, FitResult, TrainingBatch } from "./fit.js";
import { epochAt, type Lane } from "./lane.js";
import { requireSound } from "./soundness.js";
import { validate } from "./validate.js";

/**
 * What is due between two steps: a validation, a checkpoint, the end. Nothing of it depends on whether the run came to
 * this step or was resumed at it.
 *
 * @returns why the run ends here; undefined if it goes on
 */
export async function betweenSteps<B extends TrainingBatch>(
  options: FitOptions<B>,
  run: Run,
  lane: Lane<B>,
): Promise<FitResult["reason"] | undefined> {
  const { signal, validation, steps } = options;
  const over = () => run.step >= steps || exhausted(run.earlyStopping, validation?.patience);
  const saves = () => savesAt(options, run);
  if (!over() && !signal?.aborted && !validates(options, run) && !saves()) return undefined;

  await lane.drain();
  if (validates(options, run) && !signal?.aborted) await validateRun(options, run);
  const unvalidated = validates(options, run);
  const ends = signal?.aborted || over();
  const isBest = run.earlyStopping.best?.step === run.step;
  if (ends || saves() || isBest) await saveRun(options, run);
  lane.skipTime();
  if (signal?.aborted && (unvalidated || !over())) return "aborted";
  if (run.step >= steps) return "finished";
  return over() ? "stopped-early" : undefined;
}

/** Whether a validation is due at the step and was not made yet. */
function validates<B extends TrainingBatch>(
  { validation, steps }: FitOptions<B>,
  { step, validatedAt }: Run,
): boolean {
  if (validation === undefined || step === 0 || validatedAt === step) return false;
  return step === steps || step % validation.every === 0;
}

/** Whether a checkpoint is due at the step, be it there or not. */
function savesAt<B extends TrainingBatch>(
  { checkpoints }: FitOptions<B>,
  { step, validatedAt }: Run,
): boolean {
  if (checkpoints === undefined || step === 0) return false;
  return checkpoints.every === undefined ? validatedAt === step : step % checkpoints.every === 0;
}

async function validateRun<B extends TrainingBatch>(
  options: FitOptions<B>,
  run: Run,
): Promise<void> {
  const { model, validation, signal, onLog } = options;
  const { step } = run;
  try {
    const { values, monitored } = await validate(model, validation!, run.generators, signal);
    run.earlyStopping = judged(run.earlyStopping, step, monitored);
    run.validatedAt = step;
    onLog?.({ step, epoch: epochAt(options, step), split: "validation", values });
  } catch (error) {
    // It is made when the run is resumed.
    if (!signal?.aborted || error !== signal.reason) throw error;
  }
}

/** Makes the step's checkpoint, or brings it up to date with a validation that came after it. */
async function saveRun<B extends TrainingBatch>(options: FitOptions<B>, run: Run): Promise<void> {
  const { model, optimizer, checkpoints } = options;
  const { step, validatedAt, saved } = run;
  if (checkpoints === undefined || step === 0) return;
  const { folder, save, keep = 2 } = checkpoints;
  const state = stateOf(run, options);
  if (saved.step < step) {
    await requireSound(step, model, optimizer, lastCheckpoint(run, options));
    await saveCheckpoint(folder, { state, optimizer, save }, keep);
  } else if (saved.validatedAt < validatedAt) {
    await updateCheckpoint(folder, state);
  }
  run.saved = { step, validatedAt };
}
