import { type ArrowData, openArrow } from "../formats/arrow.js";
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

/** Which column of an Arrow table means what. */
export interface ArrowSourceOptions extends RowOptions {
  /** What is known of the items: a row each. */
  items?: (ItemRowOptions & { readonly data: ArrowData }) | undefined;
}

/**
 * An Arrow table as a dataset, a row an event: apache-arrow's own, of whatever version, the bytes of an IPC file or stream, or the
 * path of a file.
 *
 * @throws ConfigError for a time and a position together, or a feature of a kind that there is not
 */
export function fromArrow(data: ArrowData, options: ArrowSourceOptions = {}): Source {
  const { items, name = "arrow", title = name } = options;
  return {
    name,
    title,
    catalogue: "all",
    events: {
      mapping: eventsMapping(options),
      open: (reading) =>
        openArrow(data, { ...reading, aliases: aliasesFor(eventAliases, options) }),
    },
    items: items && {
      mapping: itemsMapping(items),
      open: (reading) =>
        openArrow(items.data, { ...reading, aliases: aliasesFor(itemAliases, items) }),
    },
  };
}
