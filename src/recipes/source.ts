import type { DataConfig } from "../data/config.js";
import type { Source } from "../data/source.js";
import { ConfigError } from "../errors.js";

/**
 * The source that the section `data` describes.
 *
 * @throws ConfigError when options are missing or do not go together
 * @throws DataError when the raw data is not there
 */
export async function sourceOf(config: DataConfig): Promise<Source> {
  const { catalogue } = config;
  checkBelonging(config);
  const source = await open(config);
  return catalogue === undefined ? source : { ...source, catalogue };
}

async function open(config: DataConfig): Promise<Source> {
  const { source, layout, input } = config;
  switch (source) {
    case "movielens": {
      const { movielens } = await import("../data/sources/movielens.js");
      return movielens(required("data.input", input));
    }
    case "amazon": {
      const { amazon } = await import("../data/sources/amazon.js");
      return amazon(required("data.input", input), { layout });
    }
    case "google-local": {
      const { googleLocal } = await import("../data/sources/google-local.js");
      return googleLocal(required("data.input", input));
    }
    case "table":
      return openTable(config);
    case undefined:
      throw new ConfigError("data.source is missing");
  }
}

async function openTable({ input, table: options }: DataConfig): Promise<Source> {
  const { table } = await import("../data/sources/table.js");
  const { tableDefaults } = await import("../data/config.js");
  const { events, items, ...about } = options ?? tableDefaults;
  if (events.file !== undefined && input !== undefined) {
    throw new ConfigError("data.input and data.table.events.file both name the events; give one");
  }
  const file = required("data.input", events.file ?? input);
  return table({ ...about, events: { ...events, file }, items });
}

/** Options of another source would be without effect. */
function checkBelonging({ source, layout, table }: DataConfig): void {
  if (layout !== undefined && source !== "amazon") {
    throw new ConfigError(`data.layout is of the source amazon, not of ${source}`);
  }
  if (table !== undefined && source !== "table") {
    throw new ConfigError(`data.table is of the source table, not of ${source}`);
  }
}

function required<T>(option: string, value: T | undefined): T {
  if (value !== undefined) return value;
  throw new ConfigError(`${option} is missing`);
}
