import type { SchemaElement } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import type { PartFile } from "./part-file.js";
import type { Columns, Rows, RowWriter } from "./rows.js";

/**
 * Rows as Parquet, each write a row group: `user`, `events`, and `embedding`, which is null without events, or
 * `embeddings`. Lists: Parquet has none of fixed size, and Arrow's hint that they are is not read where some are null.
 */
export function parquetRows(
  file: PartFile,
  columns: Columns,
  metadata: Readonly<Record<string, string>>,
): RowWriter {
  const bytes = new ByteWriter();
  const kvMetadata = Object.entries(metadata).map(([key, value]) => ({ key, value }));
  const parquet = new ParquetWriter({
    ...{ writer: bytes, schema: schemaOf(columns), kvMetadata, createdBy: "user-llm" },
    // Embeddings do not get smaller, and nobody looks for one between two values.
    ...{ codec: "UNCOMPRESSED" as const, statistics: false },
  });
  const flush = async () => {
    await file.append(new Uint8Array(bytes.buffer, 0, bytes.index));
    bytes.index = 0;
  };
  return {
    valuesAtOnce: 1 << 16, // encoding them takes some tens of milliseconds
    async write(rows) {
      const { users, events } = rows;
      const columnData = [
        { name: "user", data: users, encoding: "PLAIN" as const },
        { name: "events", data: Int32Array.from(events), encoding: "PLAIN" as const },
        { name: nameOf(columns), data: listsOf(rows, columns), encoding: "PLAIN" as const },
      ];
      await parquet.write({ columnData, rowGroupSize: users.length });
      await flush();
    },
    async finish() {
      await parquet.finish();
      await flush();
    },
  };
}

const nameOf = ({ lists }: Columns): string => (lists ? "embeddings" : "embedding");

function listsOf(
  { counts, values }: Rows,
  { width, lists }: Columns,
): (number[] | number[][] | null)[] {
  return values.map((all, i) => {
    if (!lists) return counts[i] === 0 ? null : Array.from(all);
    return Array.from({ length: counts[i]! }, (_, at) =>
      Array.from(all.subarray(at * width, (at + 1) * width)),
    );
  });
}

function schemaOf(columns: Columns): SchemaElement[] {
  const list = (name: string, repetition: "REQUIRED" | "OPTIONAL"): SchemaElement[] => [
    {
      ...{ name, repetition_type: repetition, num_children: 1 },
      ...{ converted_type: "LIST", logical_type: { type: "LIST" } },
    },
    { name: "list", repetition_type: "REPEATED", num_children: 1 },
  ];
  const value: SchemaElement = { name: "element", type: "FLOAT", repetition_type: "REQUIRED" };
  return [
    { name: "schema", num_children: 3 },
    {
      ...{ name: "user", type: "BYTE_ARRAY", repetition_type: "REQUIRED" },
      ...{ converted_type: "UTF8", logical_type: { type: "STRING" } },
    },
    { name: "events", type: "INT32", repetition_type: "REQUIRED" },
    ...(columns.lists
      ? [...list("embeddings", "REQUIRED"), ...list("element", "REQUIRED"), value]
      : [...list("embedding", "OPTIONAL"), value]),
  ];
}
