import { setImmediate } from "node:timers/promises";
import { UsageError } from "../../errors.js";
import { EventStore } from "./event-store.js";
import { rowsAtOnce, sortByTime, sortManyByTime } from "./sort-by-time.js";
import { emptyBlock, sortedBlockRows } from "./sorted-block.js";
import type { EventSorter, SortedBlock } from "./sorter.js";

export interface MemorySorterOptions {
  /** Bytes that the events may take. Default: what the machine or the container has. */
  memoryLimit?: number | undefined;
}

/**
 * Sorts in memory: the rows are counted out to their users, then each user's are sorted by time and handed out while they
 * are still in the cache. An event costs 12 bytes and 4 for each column, rounded up to a multiple of 8, and 4 for its place.
 *
 * @param columns of every block
 * @throws DataError (from `append`) when the events do not fit in memory
 */
export function memorySorter(columns: number, options: MemorySorterOptions = {}): EventSorter {
  return storeSorter(new EventStore(columns, options.memoryLimit));
}

/** Sorts what is, or will be, in a store. */
export function storeSorter(store: EventStore): EventSorter {
  let taken = false;
  return {
    append: async (block) => {
      if (taken) throw new UsageError("memorySorter: append() after sorted()");
      store.append(block);
    },
    sorted: () => {
      if (taken) throw new UsageError("memorySorter: sorted() gives one pass");
      taken = true;
      return sortedBlocks(store);
    },
    close: async () => store.clear(),
  };
}

async function* sortedBlocks(store: EventStore): AsyncGenerator<SortedBlock> {
  const { counts } = store;
  const order = await orderByUser(store, counts);
  const scratch = new Float64Array(rowsAtOnce);
  const block = emptyBlock(Math.min(sortedBlockRows, store.rows), store.columns);
  for (let user = 0, end = 0; user < counts.length; user++) {
    const rows = order.subarray(end, end + counts[user]!);
    end += rows.length;
    if (rows.length > rowsAtOnce) await sortLongUser(store, rows);
    else if (!store.times(rows, scratch)) sortByTime(scratch, rows);
    for (let start = 0; start < rows.length; ) {
      start += fill(store, block, user, rows, start);
      if (block.rows === sortedBlockRows) {
        yield block;
        block.rows = 0;
        await setImmediate();
      }
    }
  }
  if (block.rows > 0) yield block;
}

/** All rows, users rising and each user's rows in order of arrival: a counting sort. */
async function orderByUser(store: EventStore, counts: Uint32Array): Promise<Uint32Array> {
  const order = new Uint32Array(store.rows);
  const next = new Uint32Array(counts.length);
  for (let user = 1; user < counts.length; user++) next[user] = next[user - 1]! + counts[user - 1]!;
  let row = 0;
  for (const users of store.takeUsers()) {
    for (let i = 0; i < users.length; i++) order[next[users[i]!]!++] = row++;
    await setImmediate();
  }
  return order;
}

async function sortLongUser(store: EventStore, rows: Uint32Array): Promise<void> {
  const times = new Float64Array(rows.length);
  let inOrder = true;
  for (let start = 0; start < rows.length; start += rowsAtOnce) {
    const end = Math.min(rows.length, start + rowsAtOnce);
    inOrder = store.times(rows.subarray(start, end), times.subarray(start, end)) && inOrder;
    inOrder &&= start === 0 || times[start - 1]! <= times[start]!;
    await setImmediate();
  }
  if (!inOrder) await sortManyByTime(times, rows);
}

/** Adds a user's rows from `start` on to the block, as many as it takes; how many. */
function fill(
  store: EventStore,
  block: SortedBlock,
  user: number,
  rows: Uint32Array,
  start: number,
): number {
  const at = block.rows;
  const count = Math.min(rows.length - start, sortedBlockRows - at);
  store.read(rows, start, start + count, block, at);
  block.user.fill(user, at, at + count);
  for (let i = 0; i < count; i++) block.sourceRow[at + i] = rows[start + i]!;
  block.rows += count;
  return count;
}
