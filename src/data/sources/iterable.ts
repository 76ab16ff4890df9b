import { UsageError } from "../../errors.js";
import { openIterable, type Rows } from "../formats/iterable.js";
import type { Source } from "../source.js";
import {
  aliasesFor,
  eventAliases,
  eventsMapping,
  type ItemRowOptions,
  itemAliases,
  itemsMapping,
  type RowOptions,
} from "./row-options.js";

/** Which property of a row means what. */
export interface IterableSourceOptions extends RowOptions {
  /** The property of a user that holds their events. Default: `events`. */
  events?: string | undefined;
  /** What is known of the items: an object each. */
  items?: (ItemRowOptions & { readonly rows: Rows }) | undefined;
}

/**
 * Any iterable or async iterable of plain objects as a dataset: an event each, `{ user, item, time, ... }`, or a user each,
 * `{ userId, events: [{ item, time, ... }, ...] }`. Without a column of times (`time: false`) events are in the order of
 * the rows.
 *
 * @throws ConfigError for a time and a position together, or a feature of a kind that there is not
 */
export function fromIterable(rows: Rows, options: IterableSourceOptions = {}): Source {
  const { events, items, name = "iterable", title = name } = options;
  const eventRows = onePass(rows, "rows");
  const itemRows = items && onePass(items.rows, "items");
  return {
    name,
    title,
    catalogue: "all",
    events: {
      mapping: eventsMapping(options),
      open: async (reading) =>
        openIterable(eventRows(), {
          ...reading,
          name: "rows",
          events,
          aliases: aliasesFor(eventAliases, options),
        }),
    },
    items: items && {
      mapping: itemsMapping(items),
      open: async (reading) =>
        openIterable(itemRows!(), {
          ...reading,
          name: "items",
          aliases: aliasesFor(itemAliases, items),
        }),
    },
  };
}

/** The rows; a second time only if they can be iterated again. */
function onePass(rows: Rows, name: string): () => Rows {
  let opened = false;
  return () => {
    const itself = "next" in rows; // a generator: what is gone is gone
    if (opened && itself) {
      throw new UsageError(`fromIterable: the ${name} have been read; a generator gives them once`);
    }
    opened = true;
    return rows;
  };
}
