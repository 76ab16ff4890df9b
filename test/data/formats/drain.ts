import type { ReaderOptions, Row, RowReader } from "../../../src/data/formats/row.js";
import type { RowError } from "../../../src/errors.js";

/** Reader options that throw at the first bad record. */
export const strict: ReaderOptions = {
  onError: (error) => {
    throw error;
  },
};

/** Reader options that go on, and what they were told. */
export function lenient(): ReaderOptions & { errors: RowError[] } {
  const errors: RowError[] = [];
  return { errors, onError: (error) => errors.push(error) };
}

type Accessor = (row: Row, column: number) => unknown;
export type Read = "text" | "number" | "moment" | "value" | Accessor;

/** Every row, with each column read as told. Closes the reader. */
export async function drain(
  reader: RowReader,
  columns: Readonly<Record<string, Read>>,
): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  try {
    const reads = Object.entries(columns).map(
      ([name, read]) => [name, reader.column(name), accessorOf(read)] as const,
    );
    for await (const block of reader.rows()) {
      for (const row of block) {
        rows.push(
          Object.fromEntries(reads.map(([name, column, read]) => [name, read(row, column)])),
        );
      }
    }
  } finally {
    await reader.close();
  }
  return rows;
}

function accessorOf(read: Read): Accessor {
  if (typeof read === "function") return read;
  if (read === "moment") return (row, column) => row.moment?.(column);
  return (row, column) => row[read](column);
}
