import { ConfigError } from "../../errors.js";
import { type DuckdbSorterOptions, duckdbSorter } from "./duckdb-sorter.js";
import { EventStore } from "./event-store.js";
import { storeSorter } from "./memory-sorter.js";
import type { EventSorter } from "./sorter.js";

/**
 * Sorts in memory while the events fit, and in DuckDB once they do not: those that have come move over then.
 *
 * @param columns of every block
 * @param options the memory limit is that of either; default: what the machine has, then 512 MiB
 * @throws DataError (from `append`) when they do not fit and `@duckdb/node-api` is not installed
 */
export function autoSorter(columns: number, options: DuckdbSorterOptions): EventSorter {
  const store = new EventStore(columns, options.memoryLimit);
  const inMemory = storeSorter(store);
  let sorter = inMemory;
  return {
    append: async (block) => {
      if (sorter === inMemory && !store.hasRoom(block.rows)) {
        sorter = await duckdbSorter(columns, options).catch((error) => {
          throw error instanceof ConfigError ? store.tooLarge(error) : error;
        });
        for (const rows of store.takeBlocks()) await sorter.append(rows);
        await inMemory.close();
      }
      await sorter.append(block);
    },
    sorted: () => sorter.sorted(),
    close: () => sorter.close(),
  };
}
