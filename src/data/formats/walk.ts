import { setImmediate } from "node:timers/promises";
import type { Row } from "./row.js";
import type { ValueRow } from "./value-row.js";

const blockRows = 8192;

/**
 * Rows `0 ... count - 1` of columns in memory, in blocks. Between them the event loop has its turn.
 *
 * @param before rows of the table that came before
 */
export async function* walk(
  row: ValueRow,
  count: number,
  before: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Iterable<Row>> {
  for (let start = 0; start < count; start += blockRows) {
    signal?.throwIfAborted();
    yield block(row, start, Math.min(start + blockRows, count), before);
    await setImmediate();
  }
}

function* block(row: ValueRow, start: number, end: number, before: number): Generator<Row> {
  for (let i = start; i < end; i++) {
    row.at = i;
    row.line = before + i + 1;
    yield row;
  }
}
