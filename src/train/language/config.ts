/**
 * The section of a configuration about training a language model. Apart from `user-llm/train`, so that only configurations
 * load zod.
 */
import { z } from "zod";
import { trainingConfig } from "../config.js";

/** How a language model is trained, whichever recipe. */
export const languageTrainingConfig = trainingConfig.omit({ validationUsers: true }).extend({
  epochs: z
    .number()
    .positive()
    .default(1)
    .describe("Passes over the training texts, where `steps` is not given."),
  batchTokens: z
    .int()
    .min(1)
    .default(4096)
    .describe("Most inputs of a batch, which has as many sequences as fit."),
  accumulate: z
    .int()
    .min(1)
    .default(1)
    .describe("Batches whose gradients make one step, weighted by the tokens they foretell."),
  validateEvery: z.number().positive().default(1).describe("Epochs between two validations."),
  monitor: z
    .string()
    .min(1)
    .default("logLikelihood")
    .describe("The validation metric that the best checkpoint has; higher is better."),
});

export type LanguageTrainingConfig = z.output<typeof languageTrainingConfig>;
