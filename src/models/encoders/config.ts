/**
 * The section `encoder` of a configuration: which encoder, with its options as its class has them. Apart from
 * `user-llm/models`, so that only configurations load zod.
 */
import { z } from "zod";

const whole = (least: number, most = Number.MAX_SAFE_INTEGER) => z.int().min(least).max(most);
const named = <T extends z.ZodType>(value: T) => z.record(z.string().min(1), value);

/** What all encoders share. */
const common = {
  features: z
    .array(z.string().min(1))
    .optional()
    .describe("Features to read, beside the item; by default all but texts."),
  width: whole(1, 65_536).default(128).describe("Numbers of a user embedding."),
  heads: whole(1, 1024).default(8).describe("Heads of attention; they divide the width."),
  hiddenWidth: whole(1).optional().describe("Width inside the MLPs; else four times the width."),
  dropout: z.number().min(0).lt(1).default(0.1).describe("Share of numbers dropped in training."),
  featureWidths: named(whole(1))
    .optional()
    .describe("Widths of the features' own embeddings; else `width` for the item, 16 for others."),
  precision: z
    .enum(["float32", "bfloat16"])
    .default("float32")
    .describe("Of the operands of matrix products."),
};

const autoregressive = {
  ...common,
  layers: whole(1, 1024).default(6).describe("Transformer blocks."),
  positions: z
    .enum(["learned", "rotary"])
    .default("learned")
    .describe("How an event's place in the history is told."),
  lossWeights: named(z.number().min(0))
    .optional()
    .describe("Weights of the features' losses; else 1 each."),
  labelSmoothing: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe("Share of the item's probability that is spread over all items."),
  sampledSoftmax: z
    .strictObject({
      negatives: whole(1).describe("Items drawn for a batch and shared by its positions."),
      exponent: z
        .number()
        .min(0)
        .default(1)
        .describe("Items are drawn by popularity to this power; 0: all alike."),
    })
    .optional()
    .describe("Training compares an item with some that are drawn; else with all items."),
};

const bert4rec = {
  ...common,
  layers: whole(1, 1024).default(2).describe("Transformer blocks."),
  maskProbability: z
    .number()
    .gt(0)
    .max(1)
    .default(0.2)
    .describe("Share of the inputs that are hidden in training; the event after them always is."),
  lastOnly: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe("Share of the histories of which nothing but that event is hidden."),
  replacement: z
    .enum(["mask", "bert"])
    .default("mask")
    .describe(
      "What stands for a hidden input: the mask, or for one of ten a random item, for one of ten itself.",
    ),
  head: z
    .enum(["transform", "tied"])
    .default("transform")
    .describe("Before the item table: a layer with GELU and a norm, or at most a projection."),
  outputBias: z.boolean().default(true).describe("Whether each item has a bias in the softmax."),
};

const { features: _, lossWeights: __, ...itemOnly } = autoregressive;

const dual = {
  ...common,
  featureWidths: named(whole(1))
    .optional()
    .describe(
      "Widths of the features, multiples of a head's; else `width` for item and label, a quarter for others.",
    ),
  layers: whole(0, 1024).default(2).describe("Transformer blocks of each feature."),
  fusionLayers: whole(0, 1024).default(1).describe("MLPs after the features came together."),
  outputs: whole(1, 1024).default(1).describe("Embeddings of a user."),
  userFeatures: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("What the user tower reads; else all features."),
  label: z
    .string()
    .min(1)
    .default("item")
    .describe("What is predicted of the next event: the item, or a feature."),
  labelFeatures: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("What the label tower reads; else the label and, of an item, its features."),
  tieItems: z
    .boolean()
    .optional()
    .describe("Whether both towers share the item's table; else where both read the item."),
  softmax: z
    .enum(["auto", "full", "in-batch"])
    .default("auto")
    .describe("Over all labels, or those of the batch; `auto`: all where they are at most 5,000."),
  logQ: z
    .boolean()
    .default(true)
    .describe("Whether the softmax in the batch is corrected for how frequent labels are."),
  normalize: z
    .boolean()
    .default(false)
    .describe("Whether scores are cosines, in place of products."),
  temperature: z
    .number()
    .positive()
    .optional()
    .describe("Divides the scores; else 0.1 for cosines, 1 for products."),
};

export const encoderConfig = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z
      .literal("autoregressive")
      .default("autoregressive")
      .describe("The paper's encoder: all features, early fusion."),
    ...autoregressive,
  }),
  z.strictObject({
    kind: z.literal("sasrec").describe("The autoregressive encoder on the item alone."),
    ...itemOnly,
  }),
  z.strictObject({
    kind: z.literal("dual").describe("A user and a label tower with late fusion."),
    ...dual,
  }),
  z.strictObject({
    kind: z.literal("bert4rec").describe("Sees both sides of events that are hidden at random."),
    ...bert4rec,
  }),
  z.strictObject({
    kind: z.literal("custom").describe("An encoder of your own."),
    name: z.string().min(1).describe("Its name, as the program that trains it gives it."),
    features: common.features,
    options: named(z.unknown()).optional().describe("Handed to it as they are."),
  }),
]);

export type EncoderConfig = z.output<typeof encoderConfig>;

/** An encoder as a program describes it: {@link EncoderConfig}, where what has a default may be left out. */
export type EncoderOptions = z.input<typeof encoderConfig>;
