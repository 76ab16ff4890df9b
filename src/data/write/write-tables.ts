import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { LongCall } from "../../progress.js";
import type { Collected, ItemColumn, Vocabulary } from "../collect/collected.js";
import type { PreparedFile } from "../manifest.js";
import { ArrowFileWriter } from "./arrow-file-writer.js";
import type { ArrowColumn } from "./arrow-layout.js";

/** Texts that are written in one go. */
const textsAtOnce = 1 << 14;
const bytesAtOnce = 4 << 20;

/** Writes `items.arrow`. */
export async function writeItems(
  folder: string,
  { items }: Collected,
  options: LongCall,
): Promise<PreparedFile> {
  const columns: ArrowColumn[] = [
    { name: "id", type: "utf8", bytes: await bytesOfTexts(items.ids) },
    titleColumn(items.titles, await bytesOfTexts(items.titles)),
    { name: "events", type: "int64" },
  ];
  for (const column of items.columns) columns.push(await itemColumn(column));
  return await writeFile(join(folder, "items.arrow"), columns, items.ids.length, options, [
    (writer) => writeTexts(writer, "id", items.ids),
    (writer) => writeTexts(writer, "title", items.titles),
    (writer) => writer.numbers("events", items.counts),
    ...items.columns.map((column) => (writer: ArrowFileWriter) => writeItemColumn(writer, column)),
  ]);
}

/** Writes `users.arrow`. */
export async function writeUsers(
  folder: string,
  { users }: Collected,
  historyLengths: Int32Array,
  options: LongCall,
): Promise<PreparedFile> {
  const columns: ArrowColumn[] = [
    { name: "id", type: "utf8", bytes: await bytesOfTexts(users.names()) },
    { name: "offset", type: "int64" },
    { name: "length", type: "int32" },
  ];
  const offsets = new Float64Array(users.size);
  for (let u = 1; u < users.size; u++) offsets[u] = offsets[u - 1]! + historyLengths[u - 1]!;
  return await writeFile(join(folder, "users.arrow"), columns, users.size, options, [
    (writer) => writeTexts(writer, "id", users.names()),
    (writer) => writer.numbers("offset", offsets),
    (writer) => writer.numbers("length", historyLengths),
  ]);
}

/** Writes `vocab-<feature>.arrow`. */
export async function writeVocabulary(
  folder: string,
  { feature, values, counts }: Vocabulary,
  options: LongCall,
): Promise<PreparedFile> {
  const numeric = values instanceof Float64Array;
  const columns: ArrowColumn[] = [
    numeric
      ? { name: "value", type: "float64" }
      : { name: "value", type: "utf8", bytes: await bytesOfTexts(values) },
    { name: "count", type: "int64" },
  ];
  const path = join(folder, `vocab-${feature}.arrow`);
  return await writeFile(path, columns, values.length, options, [
    (writer) => (numeric ? writer.numbers("value", values) : writeTexts(writer, "value", values)),
    (writer) => writer.numbers("count", counts),
  ]);
}

async function writeFile(
  path: string,
  columns: readonly ArrowColumn[],
  rows: number,
  { onProgress, signal }: LongCall,
  writes: readonly ((writer: ArrowFileWriter) => Promise<void>)[],
): Promise<PreparedFile> {
  const writer = await ArrowFileWriter.create(path, columns, rows);
  try {
    for (const write of writes) {
      signal?.throwIfAborted();
      await write(writer);
    }
    const file = await writer.finish();
    onProgress?.({ task: `writing ${file.name}`, done: rows, total: rows, unit: "rows" });
    return file;
  } finally {
    await writer.close();
  }
}

function titleColumn(titles: readonly (string | undefined)[], bytes: number): ArrowColumn {
  const nulls = titles.reduce((sum, title) => sum + (title === undefined ? 1 : 0), 0);
  return { name: "title", type: "utf8", bytes, nulls };
}

async function itemColumn(column: ItemColumn): Promise<ArrowColumn> {
  const name = column.feature;
  switch (column.kind) {
    case "single":
      return { name, type: "int32" };
    case "bag":
      return { name, type: "int32List", bytes: 4 * column.offsets.at(-1)! };
    case "text":
      return { name, type: "largeUtf8", bytes: await bytesOfTexts(column.texts) };
  }
}

async function writeItemColumn(writer: ArrowFileWriter, column: ItemColumn): Promise<void> {
  switch (column.kind) {
    case "single":
      return await writer.numbers(column.feature, column.indices);
    case "bag": {
      const { offsets, values } = column;
      const lengths = new Float64Array(offsets.length - 1);
      for (let i = 0; i < lengths.length; i++) lengths[i] = 4 * (offsets[i + 1]! - offsets[i]!);
      const bytes = new Uint8Array(values.buffer, values.byteOffset, 4 * offsets.at(-1)!);
      return await writer.values(column.feature, lengths, bytes);
    }
    case "text":
      return await writeTexts(writer, column.feature, column.texts);
  }
}

/** Bytes of the texts as UTF-8. */
async function bytesOfTexts(texts: Iterable<string | undefined>): Promise<number> {
  let bytes = 0;
  let count = 0;
  for (const text of texts) {
    if (text !== undefined) bytes += Buffer.byteLength(text);
    if (++count % textsAtOnce === 0) await setImmediate();
  }
  return bytes;
}

async function writeTexts(
  writer: ArrowFileWriter,
  name: string,
  texts: Iterable<string | undefined>,
): Promise<void> {
  const lengths = new Float64Array(textsAtOnce);
  let batch: string[] = [];
  let bytes = 0;
  const write = async () => {
    const encoded = Buffer.allocUnsafe(bytes);
    // One by one: halves of surrogate pairs at the ends of neighbours must not find each other.
    for (let i = 0, at = 0; i < batch.length; i++) at += encoded.write(batch[i]!, at);
    await writer.values(name, lengths.subarray(0, batch.length), encoded);
    batch = [];
    bytes = 0;
  };
  for (const text of texts) {
    const length = text === undefined ? -1 : Buffer.byteLength(text);
    lengths[batch.length] = length;
    bytes += Math.max(0, length);
    batch.push(text ?? "");
    if (batch.length === textsAtOnce || bytes >= bytesAtOnce) await write();
  }
  await write();
}
