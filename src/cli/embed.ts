import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CommandUnknownOpts, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import type { PreparedData } from "../data/index.js";
import { UsageError } from "../errors.js";
import type { EmbedResult } from "../recipes/embed/index.js";
import type { Cli, Context, Result } from "./action.js";
import { repeated } from "./config-options.js";
import { addMappingFlags, given, type MappingFlags, tableOfFlags } from "./data/mapping-flags.js";
import { examples } from "./help.js";
import { pluginFlag, readPlugins } from "./plugins.js";

/** `user-llm embed`: an encoder's embeddings of users, as files. */
export function addEmbedCommand(program: CommandUnknownOpts, cli: Cli): void {
  const command = program
    .command("embed")
    .description("write the embeddings of users to Parquet or Arrow files")
    .requiredOption("--encoder <folder>", "a run, one of its checkpoints, or a saved encoder")
    .option("--data <folder>", "prepared data")
    .addOption(
      new Option("--source <name>", "or raw data, whose layout it has").choices([
        "movielens",
        "amazon",
        "google-local",
        "table",
      ]),
    )
    .option("--input <path>", "and where it is; of a table, its file of events")
    .requiredOption("--out <folder>", "folder of the files")
    .addOption(
      new Option("--format <format>", "of the files; of a table that is read: --input-format")
        .choices(["parquet", "arrow"])
        .default("parquet"),
    )
    .option("--shards <count>", "divide the users into so many files", wholeNumber)
    .option("--shard <i/N>", "write one of N files, counted from 0", parseShard)
    .addOption(
      new Option("--pool <which>", "embedding at the last event, mean of all, or all of them")
        .choices(["last", "mean", "all"])
        .default("last"),
    )
    .option("--batch-size <users>", "users that are embedded together", wholeNumber)
    .option("--overwrite", "write again what is there, and remove what is of another encoder")
    .option(...pluginFlag, repeated);
  addMappingFlags(command, { format: "--input-format" });
  command
    .addHelpText(
      "after",
      examples(
        "user-llm embed --encoder runs/ml-20m --data prepared/ml-20m --out embeddings",
        "user-llm embed --encoder runs/ml-20m --data prepared/ml-20m --out embeddings --shard 3/64",
        "user-llm embed --encoder runs/visits --source table --input new-visits.csv --user userId \\\n" +
          "      --item placeId --time at --out embeddings --pool mean",
      ),
    )
    .action(cli.action((context, flags) => embedUsers(context, flags as EmbedFlags)));
}

interface EmbedFlags extends Omit<MappingFlags, "format"> {
  plugin?: readonly string[];
  encoder: string;
  data?: string;
  source?: string;
  input?: string;
  inputFormat?: string;
  out: string;
  format: "parquet" | "arrow";
  shards?: number;
  shard?: { index: number; of: number };
  pool: "last" | "mean" | "all";
  batchSize?: number;
  overwrite?: boolean;
}

async function embedUsers(context: Context, flags: EmbedFlags): Promise<Result> {
  const { out, format, shards, pool, batchSize, overwrite } = flags;
  if (shards !== undefined && flags.shard !== undefined)
    throw new UsageError("--shard i/N says how many there are; leave --shards out");
  const shard = flags.shard ?? (shards === undefined ? undefined : { of: shards });
  const [{ findEncoder, loadEncoder }, { embed }] = await Promise.all([
    import("../recipes/encoder-bundle/index.js"),
    import("../recipes/embed/index.js"),
  ]);
  const { signal, onProgress } = context;
  return await withData(context, flags, async (data) => {
    const custom = await readPlugins(flags.plugin);
    using encoder = await loadEncoder(await findEncoder(flags.encoder), { custom, signal });
    const options = { out, format, shard, pool, batchSize, overwrite, signal, onProgress };
    const result = await embed(encoder, data, options);
    return { document: { folder: out, ...result }, text: describe(out, result) };
  });
}

/** Prepared data, or raw data prepared for the time being. */
async function withData(
  context: Context,
  flags: EmbedFlags,
  body: (data: PreparedData) => Promise<Result>,
): Promise<Result> {
  const { PreparedData } = await import("../data/prepared/prepared-data.js");
  const isRaw = flags.source !== undefined || flags.input !== undefined;
  if (isRaw === (flags.data !== undefined))
    throw new UsageError("give --data, or --source and --input");
  if (flags.data !== undefined) {
    using data = await PreparedData.open(flags.data);
    return await body(data);
  }
  const folder = await mkdtemp(join(tmpdir(), "user-llm-embed-"));
  try {
    const prepared = join(folder, "prepared");
    await prepareInput(context, flags, prepared);
    using data = await PreparedData.open(prepared);
    return await body(data);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function prepareInput(context: Context, flags: EmbedFlags, out: string): Promise<void> {
  const [{ resolveConfig }, { configSchema }, { sourceOf }, { prepare }] = await Promise.all([
    import("../config/index.js"),
    import("../recipes/config.js"),
    import("../recipes/source.js"),
    import("../data/prepare.js"),
  ]);
  const { source = "table", input, inputFormat } = flags;
  const table = tableOfFlags({ ...flags, format: inputFormat });
  const data = given({ source, input, table }) ?? {};
  const config = resolveConfig(configSchema, [
    { value: { data }, where: () => "the command line" },
  ]);
  const { signal, onProgress } = context;
  await prepare(await sourceOf(config.data), { out, signal, onProgress });
}

function describe(
  out: string,
  { parts, unknownEvents, unknownValues, absentFeatures }: EmbedResult,
): string {
  const written = parts.filter(({ skipped }) => !skipped);
  const sum = (key: "users" | "withoutEvents") =>
    written.reduce((total, part) => total + part[key], 0);
  const lines = [`${out}: ${sum("users")} users in ${written.length} files`];
  const skipped = parts.length - written.length;
  if (skipped > 0) lines.push(`${skipped} files were there already`);
  if (sum("withoutEvents") > 0) lines.push(`${sum("withoutEvents")} users without events: null`);
  if (unknownEvents > 0) lines.push(`${unknownEvents} events of unknown items were left out`);
  for (const [name, count] of Object.entries(unknownValues))
    lines.push(`${count} unknown values of ${name} counted as missing`);
  for (const name of absentFeatures)
    lines.push(`${name} is not in the data and counted as missing`);
  return `${lines.join("\n")}\n`;
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a whole number above 0.");
}

function parseShard(text: string): { index: number; of: number } {
  const [, index, of] = /^(\d{1,5})\/(\d{1,5})$/.exec(text) ?? [];
  if (index === undefined || Number(index) >= Number(of))
    throw new InvalidArgumentError("Expected i/N, with i from 0 to N - 1.");
  return { index: Number(index), of: Number(of) };
}
