import { join } from "node:path";
import type { LongCall } from "../../progress.js";
import type { Collected } from "../collect/collected.js";
import { missingIndex } from "../feature.js";
import type { PreparedFile } from "../manifest.js";
import type { SortedBlock } from "../sort/sorter.js";
import type { Spool } from "../sort/spool.js";
import { ArrowFileWriter } from "./arrow-file-writer.js";
import type { ArrowColumn } from "./arrow-layout.js";
import { TieCounter, type Ties } from "./tie-counter.js";
import { untilAborted } from "./until-aborted.js";

/** Bytes of texts or bags that are in memory at a time. */
const spooledBytes = 16 << 20;

export interface EventsSummary extends Ties {
  readonly file: PreparedFile;
  /** Events of each user. */
  readonly historyLengths: Int32Array;
}

/** Writes `events.arrow` in the order of the sorter. */
export async function writeEvents(
  folder: string,
  collected: Collected,
  { onProgress, signal }: LongCall,
): Promise<EventsSummary> {
  const { events, sorter, remaps, clock, users } = collected;
  const singles = ["item", ...singleFeatures(collected)];
  const path = join(folder, "events.arrow");
  const writer = await ArrowFileWriter.create(path, eventColumns(collected), events);
  try {
    const ties = new TieCounter(users.size);
    const progress = { task: "writing events.arrow", total: events, unit: "rows" } as const;
    let done = 0;
    onProgress?.({ ...progress, task: "sorting events", done });
    for await (const block of untilAborted(sorter.sorted(), signal)) {
      ties.add(block);
      const writes = singles.map((name, i) =>
        writer.numbers(name, remapped(block.columns[i]!.subarray(0, block.rows), remaps[i])),
      );
      writes.push(writer.numbers(clock, block.time.subarray(0, block.rows)));
      await Promise.all(writes);
      for (const [name, spool] of collected.spools) await writeSpooled(writer, name, spool, block);
      done += block.rows;
      onProgress?.({ ...progress, done });
    }
    return { ...ties.result(), file: await writer.finish() };
  } finally {
    await writer.close();
  }
}

/** The columns in the order of the format: item, time, then the features as they were declared. */
function eventColumns(collected: Collected): ArrowColumn[] {
  const columns: ArrowColumn[] = [
    { name: "item", type: "int32" },
    collected.clock === "time"
      ? { name: "time", type: "timestamp" }
      : { name: "position", type: "int64" },
  ];
  for (const { name, of, kind } of collected.features) {
    if (of !== "event") continue;
    const spool = collected.spools.get(name);
    if (spool === undefined) columns.push({ name, type: "int32" });
    else
      columns.push({ name, type: kind === "bag" ? "int32List" : "largeUtf8", bytes: spool.bytes });
  }
  return columns;
}

/** Names of the features that the sorter carries, in the order of its columns after the item. */
function singleFeatures({ features, spools }: Collected): string[] {
  return features
    .filter(({ of, name }) => of === "event" && !spools.has(name))
    .map(({ name }) => name);
}

/** Final indices, in place: the block is scratch once it has been written. */
function remapped(indices: Int32Array, remap: Int32Array | undefined): Int32Array {
  if (remap === undefined) return indices;
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i]!;
    if (index !== missingIndex) indices[i] = remap[index]!;
  }
  return indices;
}

/** The values of a block's rows, some megabytes at a time. */
async function writeSpooled(
  writer: ArrowFileWriter,
  name: string,
  spool: Spool,
  block: SortedBlock,
): Promise<void> {
  const rows = block.sourceRow.subarray(0, block.rows);
  const lengths = new Float64Array(block.rows);
  spool.lengths(rows, block.rows, lengths);
  for (let start = 0; start < block.rows; ) {
    let end = start;
    let bytes = 0;
    do bytes += lengths[end++]!;
    while (end < block.rows && bytes + lengths[end]! <= spooledBytes);
    const values = await spool.read(rows.subarray(start, end), end - start);
    await writer.values(name, lengths.subarray(start, end), values);
    start = end;
  }
}
