/** The section `sweep` of a configuration: which options are varied, and how the best values are chosen. */
import { z } from "zod";

/** A single value of an option. */
const value = z.union([z.string(), z.number(), z.boolean(), z.null()]);

const choices = z.strictObject({
  values: z
    .array(value)
    .min(1)
    .meta({ description: "The values to try.", "x-expects": "a list that is not empty" }),
});

const range = z.strictObject({
  min: z.number().describe("The least value."),
  max: z.number().describe("The highest value."),
  scale: z
    .enum(["linear", "log", "int"])
    .default("linear")
    .describe("`log` draws small values as often as large ones, `int` whole numbers."),
  points: z
    .int()
    .min(2)
    .optional()
    .describe("Values of a grid, evenly from the least to the highest."),
});

export const sweepConfig = z.strictObject({
  strategy: z
    .enum(["grid", "random"])
    .default("random")
    .describe("Every combination, or combinations drawn by the seed."),
  trials: z
    .int()
    .min(1)
    .max(1000)
    .optional()
    .describe("Combinations to draw, of the strategy `random`; else 20."),
  seed: z.int().min(0).default(0).describe("Decides which combinations are drawn."),
  metric: z
    .string()
    .min(1)
    .optional()
    .describe("The validation metric to choose by, higher is better; else `pretrain.monitor`."),
  parameters: z
    .record(z.string().min(1), z.union([choices, range]))
    .describe("By option, as `pretrain.learningRate`, the values to try: a list, or a range."),
});

export type SweepConfig = z.output<typeof sweepConfig>;
/** What to try for one option. */
export type SweepParameter = SweepConfig["parameters"][string];
