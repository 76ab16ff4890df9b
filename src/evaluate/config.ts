/** The section `evaluate` of a configuration. Apart from `user-llm/evaluate`, so that only configurations load zod. */
import { z } from "zod";

const whole = (least: number, most = Number.MAX_SAFE_INTEGER) => z.int().min(least).max(most);

export const evaluationConfig = z.strictObject({
  ks: z
    .array(whole(1))
    .min(1)
    .default([1, 5, 10, 20, 50])
    .meta({ description: "Lengths of the lists that metrics look at.", "x-expects": "a list" }),
  bootstrap: whole(0, 1_000_000)
    .default(1000)
    .describe("Resamplings of the users for intervals; 0 for none."),
  batchSize: whole(1).default(256).describe("Histories of a batch."),
  baselines: z
    .array(z.enum(["most-popular", "co-occurrence"]))
    .default(["most-popular", "co-occurrence"])
    .meta({ description: "Ranked beside the encoder.", "x-expects": "a list" }),
});

export type EvaluationConfig = z.output<typeof evaluationConfig>;
