import type { SortedBlock } from "./sorter.js";

/** Rows of the blocks that sorters give, but for the last. */
export const sortedBlockRows = 1 << 16;

/** A block with room for `rows`. */
export function emptyBlock(rows: number, columns: number): SortedBlock {
  return {
    rows: 0,
    user: new Int32Array(rows),
    time: new Float64Array(rows),
    columns: Array.from({ length: columns }, () => new Int32Array(rows)),
    sourceRow: new Float64Array(rows),
  };
}
