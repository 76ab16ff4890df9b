import type { LongCall } from "../../progress.js";
import { type PlanOptions, planTraining, type TrainingPlan } from "../../train/index.js";
import type { Config } from "../config.js";
import { type ExampleFacts, factsOf } from "./finetune.js";
import { openFinetuning } from "./open-finetuning.js";

export interface FinetuningPlan extends TrainingPlan {
  readonly examplesRead: ExampleFacts;
}

/**
 * What fine-tuning with this configuration will take; see {@link planTraining}. The model is loaded and examples are read;
 * nothing is written, and nothing stays in memory.
 *
 * @throws as `finetune` does before it trains
 */
export async function planFinetuning(
  config: Config,
  options: LongCall & Pick<PlanOptions, "timedSteps"> = {},
): Promise<FinetuningPlan> {
  using finetuning = await openFinetuning(config, options);
  const { model, optimizer, batches, steps, section } = finetuning;
  const { accumulate, clipNorm, keep } = section.training;
  const plan = await planTraining({
    ...options,
    ...{ model, optimizer, batches, steps, accumulate, clipNorm: clipNorm ?? undefined },
    positions: ({ ids }) => ids.length,
    // Beside those that are kept: the best, and the one that is being written.
    checkpoints: keep + 2,
    savesFrozen: section.strategy === "full",
  });
  return { ...plan, examplesRead: factsOf(finetuning) };
}
