import { basename } from "node:path";
import { ConfigError } from "../../errors.js";
import type { Column, EventsMapping, Source, Table, TimeUnit } from "../source.js";
import { type FeatureOptions, featureMappings } from "./feature-options.js";
import { openFile, type TableFile } from "./table-file.js";
import { tableOfFiles } from "./table-of-files.js";

/** Where events are, and which column means what. */
export interface TableEvents extends TableFile {
  user: Column;
  item: Column;
  /**
   * When events happened. Timestamps of Parquet and Arrow say it by themselves; bare numbers are seconds since 1970 unless
   * a unit is given, texts need the unit `iso`.
   */
  time?: Column | { readonly column: Column; readonly unit: TimeUnit } | undefined;
  /** Place of the event in its user's history, in place of a time. Neither: the order of the file. */
  position?: Column | undefined;
  /** Features of events. */
  features?: FeatureOptions | undefined;
}

/** Where items are, and which column means what. */
export interface TableItems extends TableFile {
  id: Column;
  /** What the item is called. Default: no title is read. */
  title?: Column | undefined;
  /** Features of items. */
  features?: FeatureOptions | undefined;
}

/** Where a dataset's tables are, and what is said of it. */
export interface TableOptions {
  events: TableEvents;
  /** What is known of the items; of another format if need be. */
  items?: TableItems | undefined;
  /** Whether items that no event names stay (`all`, the default) or go (`seen`). */
  catalogue?: Source["catalogue"] | undefined;
  /** Short and stable, for the manifest. Default: `table`. */
  name?: string | undefined;
  /** For people. Default: the name of the events' file. */
  title?: string | undefined;
  /** What may be done with the data, for the manifest. Default: not stated. */
  licence?: string | undefined;
  /** What to cite, for the manifest. */
  citation?: string | undefined;
}

/**
 * Your own files, by columns: CSV, TSV, other delimited text, JSON lines, Parquet or Arrow, and the items in a file of
 * their own.
 *
 *     table({
 *       events: { file: "visits.csv.gz", user: "userId", item: "placeId", time: "at", features: { stars: "ordinal" } },
 *       items: { file: "places.jsonl", id: "id", title: "name", features: { kinds: "bag" } },
 *     })
 *
 * @throws ConfigError for options that do not go together
 */
export function table({ events, items, catalogue = "all", ...about }: TableOptions): Source {
  const { name = "table", title = basename([events.file].flat()[0] ?? name) } = about;
  return {
    name,
    title,
    licence: about.licence,
    citation: about.citation,
    catalogue,
    events: tableOf(events, eventsMapping(events)),
    items:
      items &&
      tableOf(items, {
        id: items.id,
        title: items.title,
        features: featureMappings(items.features),
      }),
  };
}

function tableOf<Mapping>(file: TableFile, mapping: Mapping): Table<Mapping> {
  const paths = [file.file].flat();
  if (paths.length === 0) throw new ConfigError("table: expected a file, got none");
  return tableOfFiles(paths, mapping, (path, options) => openFile(path, file, options));
}

function eventsMapping({ user, item, time, position, features }: TableEvents): EventsMapping {
  const clock =
    time === undefined || typeof time === "object"
      ? time
      : { column: time, unit: "seconds" as const };
  return { user, item, time: clock, position, features: featureMappings(features) };
}
