import { basename } from "node:path";
import type { LongCall } from "../../progress.js";
import type { Row, RowReader } from "../formats/row.js";
import type { Table } from "../source.js";
import type { SourceFile } from "./collected.js";
import type { Problems } from "./problems.js";

/** What is done with blocks of rows; columns are numbered as the reader does. */
export type BlockVisitor = (rows: Iterable<Row>) => void | Promise<void>;

/**
 * Passes over all files of a table. `bind` is called for each file with its reader, its result for each block of rows.
 *
 * @returns the files as they lie on disk
 */
export async function readTable<Mapping>(
  table: Table<Mapping>,
  problems: Problems,
  { onProgress, signal }: LongCall,
  bind: (reader: RowReader) => BlockVisitor,
): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  const options = { onError: problems.add, signal };
  for (let i = 0; i <= (table.further?.length ?? 0); i++) {
    const reader = await (i === 0 ? table.open(options) : table.further![i - 1]!(options));
    try {
      const name = basename(reader.name);
      const visit = bind(reader);
      for await (const rows of reader.rows()) {
        signal?.throwIfAborted();
        await visit(rows);
        onProgress?.({
          task: `reading ${name}`,
          done: reader.bytesRead,
          total: reader.bytes,
          unit: "bytes",
        });
      }
      const sha256 = reader.sha256();
      if (sha256 !== undefined)
        files.push({ name, bytes: reader.bytes ?? reader.bytesRead, sha256 });
    } finally {
      await reader.close();
    }
  }
  return files;
}
