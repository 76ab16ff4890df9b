/** Flags that say which column of an own table means what, for those who need no configuration for it. */
import { type CommandUnknownOpts, InvalidArgumentError } from "@commander-js/extra-typings";
import type { ConfigObject } from "../../config/index.js";

const kinds = ["id", "categorical", "ordinal", "bag", "text"];

/** A feature as the flag gives it: `stars=ordinal`, or `stars=ordinal:score` where the column has another name. */
export interface FeatureFlag {
  readonly name: string;
  readonly kind: string;
  readonly column: string | undefined;
}

export interface MappingFlags {
  user?: string | undefined;
  item?: string | undefined;
  time?: string | undefined;
  timeUnit?: string | undefined;
  position?: string | undefined;
  feature?: readonly FeatureFlag[] | undefined;
  format?: string | undefined;
  separator?: string | undefined;
  /** False with `--no-header`. */
  header?: boolean | undefined;
  items?: string | undefined;
  itemId?: string | undefined;
  itemTitle?: string | undefined;
  itemFeature?: readonly FeatureFlag[] | undefined;
}

function parseFeature(text: string, previous: readonly FeatureFlag[] | undefined): FeatureFlag[] {
  const [, name, kind, column] = /^([^=:]+)=([^:]+)(?::(.+))?$/.exec(text) ?? [];
  if (name === undefined || kind === undefined || !kinds.includes(kind)) {
    throw new InvalidArgumentError(
      `Expected name=kind or name=kind:column, where a kind is ${kinds.join(", ")}.`,
    );
  }
  return [...(previous ?? []), { name, kind, column }];
}

/** The section `data.table` that the flags make; undefined when none was given. */
export function tableOfFlags(flags: MappingFlags): ConfigObject | undefined {
  const columnOf = (text: string): string | number =>
    flags.header === false && /^\d+$/.test(text) ? Number(text) : text;
  const column = (text: string | undefined) => (text === undefined ? undefined : columnOf(text));
  const features = (list: readonly FeatureFlag[] | undefined) =>
    list &&
    Object.fromEntries(
      list.map(({ name, kind, column = name }) => [name, { kind, column: columnOf(column) }]),
    );

  const { user, item, time, timeUnit: unit, position, format, separator, header } = flags;
  const events = given({
    user: column(user),
    item: column(item),
    time: unit === undefined ? column(time) : { column: columnOf(time ?? "time"), unit },
    position: column(position),
    features: features(flags.feature),
    format,
    separator: separator === "\\t" ? "\t" : separator,
    header: header === false ? false : undefined,
  });
  const items = given({
    file: flags.items,
    id: flags.itemId,
    title: flags.itemTitle,
    features: features(flags.itemFeature),
  });
  return given({ events, items });
}

/** Without the members that are undefined; undefined when nothing is left. */
export function given(object: ConfigObject): ConfigObject | undefined {
  const members = Object.entries(object).filter(([, value]) => value !== undefined);
  return members.length === 0 ? undefined : Object.fromEntries(members);
}

/**
 * Adds the flags to a command, with no effect on the type of its options: read them as `MappingFlags`.
 *
 * @param names of flags, where the command needs `--format` for something else
 */
export function addMappingFlags(
  command: CommandUnknownOpts,
  { format = "--format" }: { format?: string } = {},
): void {
  command
    .optionsGroup("Columns of your own table:")
    .option("--user <column>", 'the user\'s id (default: "user")')
    .option("--item <column>", 'the item\'s id (default: "item")')
    .option("--time <column>", "when it happened, in seconds since 1970 or as timestamps")
    .option("--time-unit <unit>", "seconds, milliseconds, microseconds, nanoseconds or iso")
    .option("--position <column>", "place in the user's history, where there is no time")
    .option("--feature <name=kind[:column]>", "a feature of events; may be repeated", parseFeature)
    .option(`${format} <format>`, "csv, tsv, jsonl, parquet or arrow (default: told from the file)")
    .option("--separator <text>", "between the fields of delimited text")
    .option("--no-header", "the columns have no names, only places from 0")
    .option("--items <file>", "a table of the items")
    .option("--item-id <column>", 'in it, the item\'s id (default: "id")')
    .option("--item-title <column>", "in it, what the item is called")
    .option(
      "--item-feature <name=kind[:column]>",
      "in it, a feature; may be repeated",
      parseFeature,
    );
}
