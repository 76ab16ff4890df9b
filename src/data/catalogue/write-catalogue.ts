import { constants, copyFile } from "node:fs/promises";
import { join } from "node:path";
import { fileFault } from "../files/file-fault.js";
import { syncPath } from "../files/sync-path.js";
import type { PreparedFile } from "../manifest.js";
import type { TextColumn } from "../prepared/arrow-table.js";
import type { PreparedData } from "../prepared/prepared-data.js";
import { vocabularyFile } from "../prepared/read-manifest.js";
import { forRowBlocks, fromHalves, halvesOf } from "../prepared/row-blocks.js";
import { ArrowFileWriter } from "../write/arrow-file-writer.js";
import type { ArrowColumn } from "../write/arrow-layout.js";

const rowsAtOnce = 1 << 16;

/**
 * Writes what the numbers of prepared data stand for, so that they can be told without it: `items.arrow` with ids,
 * titles, counts and the chosen features of items, and `vocab-<feature>.arrow` of each chosen feature.
 *
 * @param folder   one that has none of these files
 * @param features names of features of the data, texts excepted
 * @returns the files, `items.arrow` first
 * @throws DataError when a file cannot be written
 */
export async function writeCatalogue(
  folder: string,
  data: PreparedData,
  features: readonly string[],
): Promise<PreparedFile[]> {
  const files = [await writeItems(join(folder, "items.arrow"), data, features)];
  for (const name of features) files.push(await copyVocabulary(folder, data, name));
  return files;
}

async function writeItems(
  path: string,
  data: PreparedData,
  features: readonly string[],
): Promise<PreparedFile> {
  const ids = textsOf(data, "id");
  const titles = textsOf(data, "title");
  const ofItems = features
    .map((name) => data.feature(name))
    .filter((feature) => feature.of === "item");
  const columns: ArrowColumn[] = [
    { name: "id", type: "utf8", bytes: ids.offset(data.items) },
    { name: "title", type: "utf8", bytes: titles.offset(data.items), nulls: nullsOf(titles) },
    { name: "events", type: "int64" },
    ...ofItems.map(
      ({ name, kind }): ArrowColumn =>
        kind === "bag"
          ? { name, type: "int32List", bytes: 4 * data.bag(name).offsets[data.items]! }
          : { name, type: "int32" },
    ),
  ];
  const writer = await ArrowFileWriter.create(path, columns, data.items);
  try {
    await writeTexts(writer, "id", ids);
    await writeTexts(writer, "title", titles);
    await writeCounts(writer, "events", data.itemEvents());
    for (const { name, kind } of ofItems)
      if (kind === "bag") await writeBags(writer, name, data.bag(name));
      else await writer.numbers(name, data.itemColumn(name));
    return await writer.finish();
  } finally {
    await writer.close();
  }
}

function textsOf(data: PreparedData, name: "id" | "title"): TextColumn {
  const column = data.columnOf("items.arrow", name);
  if (column.type !== "name") throw new TypeError(`items.arrow: ${name} is a ${column.type}`);
  return column.texts;
}

function nullsOf(texts: TextColumn): number {
  let nulls = 0;
  for (let row = 0; row < texts.rows; row++) if (texts.isNull(row)) nulls++;
  return nulls;
}

async function writeTexts(writer: ArrowFileWriter, name: string, texts: TextColumn): Promise<void> {
  for (let from = 0; from < texts.rows; from += rowsAtOnce) {
    const to = Math.min(texts.rows, from + rowsAtOnce);
    const lengths = Float64Array.from({ length: to - from }, (_, i) =>
      texts.isNull(from + i) ? -1 : texts.offset(from + i + 1) - texts.offset(from + i),
    );
    const bytes = texts.bytes.subarray(texts.offset(from), texts.offset(to));
    await writer.values(name, lengths, bytes);
  }
}

async function writeCounts(
  writer: ArrowFileWriter,
  name: string,
  counts: BigInt64Array,
): Promise<void> {
  const halves = halvesOf(counts);
  const numbers = new Float64Array(counts.length);
  await forRowBlocks(counts.length, "copying counts", {}, (from, to) => {
    for (let row = from; row < to; row++) numbers[row] = fromHalves(halves, row);
  });
  await writer.numbers(name, numbers);
}

async function writeBags(
  writer: ArrowFileWriter,
  name: string,
  { offsets, values }: { offsets: Int32Array; values: Int32Array },
): Promise<void> {
  const rows = offsets.length - 1;
  for (let from = 0; from < rows; from += rowsAtOnce) {
    const to = Math.min(rows, from + rowsAtOnce);
    const lengths = Float64Array.from(
      { length: to - from },
      (_, i) => 4 * (offsets[from + i + 1]! - offsets[from + i]!),
    );
    const part = values.subarray(offsets[from]!, offsets[to]!);
    const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    await writer.values(name, lengths, bytes);
  }
}

async function copyVocabulary(
  folder: string,
  data: PreparedData,
  feature: string,
): Promise<PreparedFile> {
  const name = vocabularyFile(feature);
  const path = join(folder, name);
  try {
    await copyFile(join(data.folder, name), path, constants.COPYFILE_EXCL);
    await syncPath(path);
  } catch (error) {
    throw fileFault(error, path, "write");
  }
  return data.manifest.files.find((file) => file.name === name)!;
}
