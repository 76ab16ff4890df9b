/**
 * The section `data` of a configuration. Options have the names of the library's own (`prepare`, `table`, `split`,
 * `Loader`), so that a section is passed on as it is. Apart from `user-llm/data`, so that only configurations load zod.
 */
import { z } from "zod";
import { featureNameFault } from "./feature.js";

const path = z.string().min(1).meta({ "x-expects": "a path" });
const paths = z
  .union([path, z.array(path).min(1)])
  .meta({ "x-expects": "a path, or a list of paths" });
const share = z.number().gt(0).lt(1);
const whole = (least: number, most = Number.MAX_SAFE_INTEGER) => z.int().min(least).max(most);

const column = z.union([z.string().min(1), whole(0)]).meta({
  "x-expects": "the name or place of a column",
});
const featureKind = z.enum(["id", "categorical", "ordinal", "bag", "text"]);
const timeUnit = z.enum(["seconds", "milliseconds", "microseconds", "nanoseconds", "iso"]);

const featureMapping = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.enum(["id", "categorical", "text"]).describe("What the values are."),
    column: column.describe("Where the values are."),
  }),
  z.strictObject({
    kind: z.literal("ordinal").describe("What the values are."),
    column: column.describe("Where the values are."),
    min: z.number().optional().describe("A value below is an error."),
    max: z.number().optional().describe("A value above is an error."),
  }),
  z.strictObject({
    kind: z.literal("bag").describe("What the values are."),
    column: column.describe("Where the values are."),
    separator: z.string().min(1).optional().describe("Between the values of a text; else `|`."),
    none: z.array(z.string()).optional().describe('Values that mean "none".'),
  }),
]);

const features = z.record(
  z
    .string()
    .regex(
      /^[a-z][A-Za-z0-9_]*$/,
      "a name has letters, digits and _, and begins with a small letter",
    )
    .refine(
      (name) => featureNameFault(name) === undefined,
      "prepared data keeps this name for itself",
    ),
  z.union([featureKind, featureMapping]),
);

const tableFile = {
  format: z
    .enum(["csv", "tsv", "jsonl", "parquet", "arrow"])
    .optional()
    .describe("By default told from the file."),
  separator: z
    .string()
    .min(1)
    .optional()
    .describe("Between the fields of delimited text, one or more characters."),
  header: z
    .union([z.boolean(), z.array(z.string())])
    .optional()
    .meta({
      description:
        "Names of the columns of delimited text: in the first line (`true`), none, or these.",
      "x-expects": "true, false or a list",
    }),
  encoding: z.enum(["utf8", "latin1"]).optional().describe("Of delimited text; else UTF-8."),
  quotes: z
    .boolean()
    .optional()
    .describe(
      "Whether fields of delimited text may be in quotes; else where the separator is one character.",
    ),
};

const tableEvents = z.strictObject({
  file: paths.optional().describe("The events; by default `data.input`."),
  ...tableFile,
  user: column.default("user").describe("The user's id."),
  item: column.default("item").describe("The item's id."),
  time: z
    .union([
      column,
      z.strictObject({
        column: column.describe("Where the times are."),
        unit: timeUnit.describe("What the numbers count since 1970, or `iso` for texts."),
      }),
    ])
    .optional()
    .describe(
      "When it happened: the column, of seconds since 1970 or timestamps, or column and unit.",
    ),
  position: column
    .optional()
    .describe(
      "The event's place in its user's history. Without it and `time`: the order of the file.",
    ),
  features: features
    .optional()
    .describe(
      "Features of events by name: the kind, or the mapping where the column has another name.",
    ),
});

const tableItems = z.strictObject({
  file: paths.describe("The items."),
  ...tableFile,
  id: column.default("id").describe("The item's id."),
  title: column.optional().describe("What the item is called; by default no title is read."),
  features: features.optional().describe("Features of items by name, as those of events."),
});

const table = z.strictObject({
  name: z.string().min(1).optional().describe("Short and stable; else `table`."),
  title: z.string().min(1).optional().describe("For people; else the name of the file."),
  licence: z.string().optional().describe("What may be done with the data, for the manifest."),
  citation: z.string().optional().describe("What to cite, for the manifest."),
  events: tableEvents.prefault({}).describe("Where events are, and which column means what."),
  items: tableItems.optional().describe("Where items are, and which column means what."),
});

/** Of a table of which nothing is said. */
export const tableDefaults = table.parse({});

const moment = z.union([z.number(), z.string()]).meta({
  "x-expects": "a moment, as 2018-01-31 or in milliseconds since 1970",
});

const split = z.strictObject({
  windows: z
    .enum(["full", "padded"])
    .default("full")
    .describe(
      "`full`: every window has `length` inputs. `padded`: those of a user's first events have fewer.",
    ),
  length: whole(1, 65_536).default(50).describe("Most events that a window shows."),
  minHistory: whole(2).default(3).describe("Events that a user must have for padded windows."),
  strategy: z
    .enum(["leave-last-out", "temporal"])
    .default("leave-last-out")
    .describe(
      "`leave-last-out` tests the last event of each user; `temporal`: the events after a moment.",
    ),
  validation: z.boolean().default(true).describe("Whether a validation split is held out too."),
  stride: whole(1).default(1).describe("Training windows of a user are this many events apart."),
  temporal: z
    .strictObject({
      testFrom: moment.optional().describe("Where the test begins; else as `testShare` says."),
      validationFrom: moment
        .optional()
        .describe("Where the validation begins; else as `validationShare` says."),
      testShare: share.default(0.1).describe("Share of all events in the test."),
      validationShare: share.default(0.1).describe("Share of all events in the validation."),
      targets: z
        .enum(["all", "first", "last"])
        .default("all")
        .describe("Which of a user's events in a period are targets."),
    })
    .optional()
    .describe("Of the strategy `temporal`."),
  disjointUsers: z
    .strictObject({
      testShare: share.default(0.1).describe("Share of the users that are tested."),
      validationShare: share.default(0.1).describe("Share of the users that are validated on."),
      seed: whole(0, 2 ** 32 - 1)
        .default(0)
        .describe("Who is in which part."),
    })
    .optional()
    .describe("Trains, validates and tests on different users; without it, on the same."),
});

const loader = z.strictObject({
  batchSize: whole(1).default(64).describe("Windows of a batch."),
  layout: z
    .enum(["padded", "ragged"])
    .default("padded")
    .describe(
      "`padded`: a row of `length` for every window. `ragged`: windows one after the other.",
    ),
  dropLast: z.boolean().default(false).describe("Whether what does not fill a batch is left out."),
  prefetch: whole(1, 64).default(3).describe("Batches gathered ahead."),
});

export const dataConfig = z.strictObject({
  source: z
    .enum(["movielens", "amazon", "google-local", "table"])
    .optional()
    .describe("Whose layout the raw data has; `table` for your own."),
  input: path.optional().describe("The folder of the raw data; of a `table`, its file of events."),
  layout: z
    .union([z.literal(2014), z.literal(2018), z.literal(2023)])
    .optional()
    .describe("The release of `amazon`; by default told from the names of the files."),
  table: table
    .optional()
    .describe("Of the source `table`: where it is, and which column means what."),
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
      "Whether items without events stay in the catalogue; by default as the source has it.",
    ),
  sorter: z.enum(["auto", "memory", "duckdb"]).default("auto").meta({
    description:
      "What sorts the events: typed arrays in `memory`, `duckdb` out of core, or `auto`: DuckDB where the memory limit does not do.",
    "x-env": "USER_LLM_SORTER",
  }),
  memoryLimit: z
    .union([whole(1), z.string().regex(/^\d+(\.\d+)?\s*([kKmMgGtT]?[iI]?[bB])$/)])
    .optional()
    .meta({
      description:
        "Memory that sorting may take, in bytes or as `512MB`, from 64 MiB; else what the machine has, for DuckDB 512 MiB.",
      "x-expects": "a size, as 512MB",
      "x-env": "USER_LLM_SORT_MEMORY",
    }),
  split: split
    .prefault({})
    .describe("How histories become windows for training, validation and test."),
  loader: loader.prefault({}).describe("How windows become batches."),
});

export type DataConfig = z.output<typeof dataConfig>;
