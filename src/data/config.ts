/** The section `data` of a configuration. Apart from the rest of `user-llm/data`, so that only those who use it load zod. */
import { z } from "zod";

const path = z.string().min(1);

const column = z
  .union([z.string().min(1), z.int().min(0)])
  .meta({ "x-expects": "the name of a column, or its place from 0 in a file without a header" });

const featureKinds = ["id", "categorical", "ordinal", "bag", "text"] as const;

const featureMapping = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.enum(["id", "categorical", "text"]).describe("How the values are read."),
    column: column.describe("Where the values are."),
  }),
  z.strictObject({
    kind: z.literal("ordinal").describe("How the values are read."),
    column: column.describe("Where the values are."),
    min: z.number().optional().describe("A value below is an error."),
    max: z.number().optional().describe("A value above is an error."),
  }),
  z.strictObject({
    kind: z.literal("bag").describe("How the values are read."),
    column: column.describe("Where the values are."),
    separator: z
      .string()
      .min(1)
      .optional()
      .describe("Between the values of a text. By default `|`."),
    none: z
      .array(z.string())
      .optional()
      .describe('Values that mean "none": `["(no genres listed)"]`.'),
  }),
]);

const features = z
  .record(
    z
      .string()
      .regex(
        /^[a-z][A-Za-z0-9_]*$/,
        "names of features are letters, digits and _, a small letter first",
      ),
    z.union([z.enum(featureKinds), featureMapping]),
  )
  .describe("Features by name: the kind, where the column has the same name, or the mapping.");

const timeUnit = z.enum(["seconds", "milliseconds", "microseconds", "nanoseconds", "iso"]);

const events = z.strictObject({
  user: column.optional().describe("The user's id. By default `user`, `userId` or `user_id`."),
  item: column.optional().describe("The item's id. By default `item`, `itemId` or `item_id`."),
  time: z
    .union([
      column,
      z.literal(false),
      z.strictObject({
        column: column.describe("Where the times are."),
        unit: timeUnit.describe("What the numbers count since 1970, or `iso` for texts."),
      }),
    ])
    .optional()
    .describe(
      "When it happened. By default `time` or `timestamp`, in seconds; `false`: the order of the file.",
    ),
  position: column
    .optional()
    .describe("The event's place in its user's history, in place of a time."),
  features: features.optional(),
});

const items = z.strictObject({
  file: path.describe("The table of the items."),
  id: column.optional().describe("The item's id. By default `id`, `item`, `itemId` or `item_id`."),
  title: column.optional().describe("What the item is called. By default no title is read."),
  features: features.optional(),
});

const split = z.strictObject({
  windows: z
    .enum(["full", "padded"])
    .default("full")
    .describe(
      "`full`: every window has `length` inputs. `padded`: those of a user's first events have fewer.",
    ),
  length: z.int().min(1).max(65_536).default(50).describe("Most events that a window shows."),
  minHistory: z
    .int()
    .min(2)
    .default(3)
    .describe("Events that a user must have for padded windows."),
  strategy: z
    .enum(["leave-last-out", "temporal"])
    .default("leave-last-out")
    .describe(
      "`leave-last-out`: the last event of each user is the test target. `temporal`: what comes after a moment is.",
    ),
  validation: z.boolean().default(true).describe("Whether a validation split is kept apart."),
  stride: z
    .int()
    .min(1)
    .default(1)
    .describe("Training windows of a user are this many events apart."),
});

export const dataConfig = z.strictObject({
  source: z
    .enum(["movielens", "amazon", "google-local", "table"])
    .optional()
    .describe("Whose layout the raw files have; `table` for your own."),
  input: path.optional().describe("The folder or file of the raw data."),
  out: path.optional().describe("The prepared folder."),
  onError: z
    .enum(["fail", "skip"])
    .default("fail")
    .describe(
      "What a row that cannot be read does: end the preparation, or be left out and counted.",
    ),
  catalogue: z
    .enum(["all", "seen"])
    .optional()
    .describe(
      "Whether items without events stay in the catalogue. By default as the source has it.",
    ),
  sorter: z.enum(["auto", "memory", "duckdb"]).default("auto").meta({
    description: "What sorts the events: typed arrays, or DuckDB, out of core.",
    "x-env": "USER_LLM_SORTER",
  }),
  memoryLimit: z
    .union([z.int().min(1), z.string().regex(/^\d+(\.\d+)?\s*[kMGT]?i?B$/)])
    .optional()
    .meta({
      description: "Memory that the sorter may take.",
      "x-expects": "a size, as 512MB",
      "x-env": "USER_LLM_SORT_MEMORY",
    }),
  events: events.prefault({}).describe("Which columns of your own table of events mean what."),
  items: items.optional().describe("Which columns of your own table of items mean what."),
  split: split
    .prefault({})
    .describe("How histories become windows for training, validation and test."),
});

export type DataConfig = z.output<typeof dataConfig>;
