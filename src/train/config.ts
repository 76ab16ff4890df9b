/**
 * Sections of a configuration about training. Apart from `user-llm/train`, so that only configurations load zod.
 */
import { z } from "zod";

const whole = (least: number, most = Number.MAX_SAFE_INTEGER) => z.int().min(least).max(most);
const positive = z.number().positive();

const adamw = z.strictObject({
  kind: z.literal("adamw").default("adamw").describe("AdamW: decoupled weight decay."),
  betas: z
    .tuple([z.number().min(0).lt(1), z.number().min(0).lt(1)])
    .default([0.9, 0.98])
    .meta({ description: "How long the moments remember.", "x-expects": "two numbers" }),
  eps: positive.default(1e-8).describe("Added to the denominator."),
  weightDecay: z
    .number()
    .min(0)
    .default(0.01)
    .describe("Share, times the learning rate, that a step takes from matrices."),
});

const adafactor = z.strictObject({
  kind: z.literal("adafactor").describe("Adafactor: a small state."),
  scaleParameter: z
    .boolean()
    .default(true)
    .describe("Whether the learning rate is multiplied with the parameter's own size."),
  weightDecay: z
    .number()
    .min(0)
    .default(0)
    .describe("Share, times the learning rate, that a step takes from matrices."),
});

/** How a model is trained, whichever stage. */
export const trainingConfig = z.strictObject({
  epochs: positive
    .default(20)
    .describe("Passes over the training windows, where `steps` is not given."),
  steps: whole(1).optional().describe("Optimizer steps; else as many as `epochs` take."),
  accumulate: whole(1)
    .default(1)
    .describe("Batches whose gradients make one step, weighted by their positions."),
  optimizer: z
    .discriminatedUnion("kind", [adamw, adafactor])
    .prefault({})
    .describe("What makes a step of the gradients."),
  learningRate: positive.default(1e-3).describe("The highest learning rate."),
  schedule: z
    .enum(["cosine", "linear", "constant"])
    .default("cosine")
    .describe("How the learning rate falls after the warmup."),
  warmup: z
    .number()
    .min(0)
    .default(0.1)
    .describe("Steps with a rising learning rate; below 1 a share of all steps."),
  clipNorm: positive
    .nullable()
    .default(1)
    .describe("Limit of the norm of all gradients together; `null` for none."),
  logEvery: whole(1).default(20).describe("Steps between two lines of the log."),
  validateEvery: positive.default(1).describe("Epochs between two validations."),
  validationUsers: whole(1)
    .default(10_000)
    .describe("Users validated on while training, at most: drawn once, by the seed."),
  monitor: z
    .string()
    .min(1)
    .default("masked/ndcg@10")
    .describe("The validation metric that the best checkpoint has; higher is better."),
  patience: whole(1)
    .nullable()
    .default(5)
    .describe("Validations without a better one after which training stops; `null` for never."),
  checkpointEvery: positive
    .optional()
    .describe("Epochs between two checkpoints; else one with each validation."),
  keep: whole(1).default(2).describe("Checkpoints kept, beside the best."),
});

export type TrainingConfig = z.output<typeof trainingConfig>;
