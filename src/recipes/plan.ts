import { type PlanOptions, planTraining, type TrainingPlan } from "../train/index.js";
import type { Config } from "./config.js";
import { openStageOne, type StageOneOptions } from "./stage-one.js";

export interface PretrainingPlan extends TrainingPlan {
  /** Windows of training, and users that have any. */
  readonly windows: { readonly count: number; readonly users: number };
  /** Bytes of prepared data, which are mapped: the system keeps of them in memory what it has room for. */
  readonly mapped: number;
}

/**
 * What pretraining with this configuration will take; see {@link planTraining}. Nothing is written, and nothing stays in
 * memory.
 *
 * @throws ConfigError, UsageError when options do not go together
 * @throws DataError when the data is not there, or too short for the split
 */
export async function planPretraining(
  config: Config,
  options: StageOneOptions & Pick<PlanOptions, "timedSteps"> = {},
): Promise<PretrainingPlan> {
  using stage = await openStageOne(config, options);
  const { data, split, encoder: model, optimizer, batches, steps } = stage;
  const { accumulate, clipNorm, keep } = config.pretrain;
  const plan = await planTraining({
    ...options,
    ...{ model, optimizer, batches, steps, accumulate, clipNorm: clipNorm ?? undefined },
    // Beside those that are kept: the best, and the one that is being written.
    checkpoints: keep + 2,
  });
  return {
    ...plan,
    windows: { count: split.train.count, users: split.train.usersWithWindows },
    mapped: data.manifest.files.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}
