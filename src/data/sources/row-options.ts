import { ConfigError } from "../../errors.js";
import type { EventsMapping, ItemsMapping, TimeUnit } from "../source.js";
import { type FeatureOptions, featureMappings } from "./feature-options.js";

/** Which column means what, in rows that JavaScript code hands over. */
export interface RowOptions {
  /** Default: `user`, else `userId`, else `user_id`. */
  user?: string | undefined;
  /** Default: `item`, else `itemId`, else `item_id`. */
  item?: string | undefined;
  /**
   * When events happened. A `Date` or a timestamp of Arrow says it by itself; bare numbers are seconds since 1970 unless a unit
   * is given. `false`: the order of the rows. Default: `time`, else `timestamp`.
   */
  time?: string | false | { readonly column: string; readonly unit: TimeUnit } | undefined;
  /** Place of the event in its user's history, in place of a time. */
  position?: string | undefined;
  /** Features of events. */
  features?: FeatureOptions | undefined;
  /** Short and stable, for the manifest. Default: `arrow` or `iterable`. */
  name?: string | undefined;
  /** For people. Default: the name. */
  title?: string | undefined;
}

/** Which column means what, in a table of items. */
export interface ItemRowOptions {
  /** Default: `id`, else `item`, `itemId` or `item_id`. */
  id?: string | undefined;
  /** Default: none is read. */
  title?: string | undefined;
  /** Features of items. */
  features?: FeatureOptions | undefined;
}

/** What the columns of events go by when nobody says. */
export const eventAliases = {
  user: ["userId", "user_id"],
  item: ["itemId", "item_id"],
  time: ["timestamp"],
} as const;

/** What the column of item ids goes by when nobody says. */
export const itemAliases = { id: ["item", "itemId", "item_id"] } as const;

export function eventsMapping(options: RowOptions): EventsMapping {
  const { user = "user", item = "item", time, position, features } = options;
  if (position !== undefined && time !== undefined && time !== false) {
    throw new ConfigError(`events have a time or a position, not both`);
  }
  const clock = position === undefined ? timeOf(time) : { position };
  return { user, item, ...clock, features: featureMappings(features) };
}

export function itemsMapping(options: ItemRowOptions): ItemsMapping {
  const { id = "id", title, features } = options;
  return { id, title, features: featureMappings(features) };
}

function timeOf(time: RowOptions["time"]): Pick<EventsMapping, "time"> {
  if (time === false) return {};
  if (typeof time === "object") return { time };
  return { time: { column: time ?? "time", unit: "seconds" } };
}

/** The aliases of the columns that were not named. */
export function aliasesFor(
  aliases: Readonly<Record<string, readonly string[]>>,
  options: object,
): Readonly<Record<string, readonly string[]>> {
  const named = new Map<string, unknown>(Object.entries(options));
  return Object.fromEntries(
    Object.entries(aliases).filter(([name]) => named.get(name) === undefined),
  );
}
