import type { LongCall } from "../../progress.js";
import { type PlanOptions, planTraining, type TrainingPlan } from "../../train/index.js";
import type { Config } from "../config.js";
import { openLm } from "./open-lm.js";
import { factsOf, type TextFacts } from "./pretrain-lm.js";

export interface LmPlan extends TrainingPlan {
  readonly texts: TextFacts;
}

/**
 * What pretraining a language model with this configuration will take; see {@link planTraining}. The texts are read and a
 * tokenizer is learnt; nothing is written, and nothing stays in memory.
 *
 * @throws ConfigError, UsageError when options do not go together
 * @throws DataError when texts cannot be read, or there are too few
 */
export async function planLm(
  config: Config,
  options: LongCall & Pick<PlanOptions, "timedSteps"> = {},
): Promise<LmPlan> {
  using pretraining = await openLm(config, options);
  const { decoder: model, optimizer, batches, steps, section } = pretraining;
  const { accumulate, clipNorm, keep } = section.training;
  const plan = await planTraining({
    ...options,
    ...{ model, optimizer, batches, steps, accumulate, clipNorm: clipNorm ?? undefined },
    positions: ({ ids }) => ids.length,
    // Beside those that are kept: the best, and the one that is being written.
    checkpoints: keep + 2,
  });
  return { ...plan, texts: factsOf(pretraining) };
}
