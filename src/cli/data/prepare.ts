import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import type { ConfigPath, Layer } from "../../config/index.js";
import { UsageError } from "../../errors.js";
import type { Cli, Context } from "../action.js";
import {
  type ConfigOptions,
  configFlag,
  configLayers,
  repeated,
  setFlag,
} from "../config-options.js";
import { examples } from "../help.js";
import { parseSize, sizeOption } from "../size.js";
import { describeManifest } from "./manifest-text.js";
import { addMappingFlags, given, type MappingFlags, tableOfFlags } from "./mapping-flags.js";

/** `user-llm data prepare`: raw files to a prepared folder. */
export function addPrepareCommand(data: CommandUnknownOpts, cli: Cli): void {
  const command = data
    .command("prepare")
    .description("turn raw data into a folder that training maps")
    .addOption(
      new Option("--source <name>", "whose layout the raw data has").choices([
        "movielens",
        "amazon",
        "google-local",
        "table",
      ]),
    )
    .option("--input <path>", "folder of the raw data; of a table, its file of events")
    .option("--out <folder>", "folder to make")
    .option(...configFlag)
    .option(...setFlag, repeated)
    .addOption(
      new Option("--on-error <what>", "what a row that cannot be read does").choices([
        "fail",
        "skip",
      ]),
    )
    .option("--overwrite", "replace prepared data that is there already")
    .addOption(
      new Option("--catalogue <items>", "keep items without events, or not").choices([
        "all",
        "seen",
      ]),
    )
    .addOption(
      new Option("--sorter <name>", "what sorts the events").choices(["auto", "memory", "duckdb"]),
    )
    .option(
      "--memory-limit <size>",
      "memory that sorting may take, as 512MB; from 64MiB",
      sizeOption,
    );
  addMappingFlags(command);
  command
    .addHelpText(
      "after",
      examples(
        "user-llm data prepare --source movielens --input ml-20m --out prepared/ml-20m",
        "user-llm data prepare --source amazon --input reviews/ --out prepared/movies --on-error skip",
        "user-llm data prepare --source table --input visits.csv --user userId --item placeId \\\n" +
          "      --time at --feature stars=ordinal --items places.jsonl --item-title name --out prepared/visits",
        "user-llm data prepare -c cfg.yaml",
      ),
    )
    .action(cli.action((context, options) => prepareData(context, options)));
}

interface PrepareFlags extends ConfigOptions, MappingFlags {
  source?: string | undefined;
  input?: string | undefined;
  out?: string | undefined;
  onError?: string | undefined;
  overwrite?: boolean | undefined;
  catalogue?: string | undefined;
  sorter?: string | undefined;
  memoryLimit?: number | undefined;
}

async function prepareData(context: Context, flags: PrepareFlags) {
  const [{ resolveConfig }, { configSchema }, { sourceOf }, { prepare }] = await Promise.all([
    import("../../config/index.js"),
    import("../../recipes/config.js"),
    import("../../recipes/source.js"),
    import("../../data/prepare.js"),
  ]);
  const layers = [...(await configLayers(flags, context)), flagLayer(flags)];
  const { data } = resolveConfig(configSchema, layers);
  const { source: name, out, onError, sorter } = data;
  if (name === undefined) throw new UsageError("give --source, or data.source in a configuration");
  if (out === undefined) throw new UsageError("give --out, or data.out in a configuration");

  const source = await sourceOf(data);
  context.note(`${source.title}; licence: ${source.licence ?? "not stated"}`);
  const { signal, onProgress } = context;
  const memoryLimit = parseSize(String(data.memoryLimit));
  const options = { out, onError, sorter, memoryLimit, overwrite: flags.overwrite };
  const manifest = await prepare(source, { ...options, signal, onProgress });
  return { document: { folder: out, manifest }, text: describeManifest(out, manifest) };
}

/** What the flags say of the section `data`. */
function flagLayer(flags: PrepareFlags): Layer {
  const { source, input, out, onError, catalogue, sorter, memoryLimit } = flags;
  const table = tableOfFlags(flags);
  const data = given({ source, input, out, onError, catalogue, sorter, memoryLimit, table });
  return { value: given({ data }) ?? {}, where: flagOf };
}

const flagOf = ([, option]: ConfigPath): string =>
  option === "table"
    ? "flags of columns"
    : `--${String(option).replace(/[A-Z]/g, "-$&").toLowerCase()}`;
