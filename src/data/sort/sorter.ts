/** Rows of events as columns. Every array has `rows` elements that count; longer ones are scratch. */
export interface EventBlock {
  rows: number;
  /** Index of the user. */
  user: Int32Array;
  /** Milliseconds since 1970, or a position; whole numbers up to 2^53. */
  time: Float64Array;
  /** The item's index, then each single-valued feature's of events, in the order of the declaration. */
  columns: Int32Array[];
}

/** A block in the order of (user, time, source row). */
export interface SortedBlock extends EventBlock {
  /** Place of each row in the order of arrival, from 0. */
  sourceRow: Float64Array;
}

/**
 * Sorts events by (user, time, source row). There are two, with equal results: in memory, and out of core in DuckDB.
 */
export interface EventSorter {
  /** Takes the next rows; the block may be reused as soon as this settles. */
  append(block: EventBlock): Promise<void>;
  /** All rows, in blocks. One pass. The block may be reused for the next. */
  sorted(): AsyncIterable<SortedBlock>;
  /** Gives back memory and temporary files; called in any case. */
  close(): Promise<void>;
}
