import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { ConfigError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import { fileFault } from "../files/file-fault.js";
import { partialFolder } from "../write/partial-folder.js";
import { writeCard, writeNew } from "./card-file.js";
import { type Catalogue, genresOf } from "./catalogue.js";
import { CsvBlock, quoted } from "./csv-block.js";
import { describeSynthetic, requireOracleUsers } from "./describe-synthetic.js";
import { Histories, type History } from "./histories.js";
import { type SyntheticModel, syntheticModel } from "./model.js";
import type { SyntheticOptions } from "./options.js";

/** What {@link writeSynthetic} is told. */
export interface WriteSyntheticOptions extends SyntheticOptions, LongCall {
  /**
   * `time`: a user's rows in the order in which they happened, so that the order of the file settles ties as it was.
   * `item`: by item, as MovieLens has them; of events in the same second nobody can tell then which was first.
   * Default: `time`.
   */
  rowOrder?: "time" | "item" | undefined;
  /** Users whose best rankings `synthetic.json` averages over; 0 leaves the scores out. Default: 2,000, or all. */
  oracleUsers?: number | undefined;
}

const blockBytes = 1 << 18;
/** More than a row of ratings or an item can have. */
const longestRow = 1 << 10;

/**
 * Writes invented ratings as MovieLens lays them out: `ratings.csv` and `movies.csv`, and `synthetic.json`, which says
 * how they were made and what the best ranking scores. 20 million rows take about half a minute and little memory; the
 * same options give the same bytes on every machine. The folder appears when it is whole.
 *
 * @param out a folder that does not exist yet, or an empty one
 * @throws ConfigError for an option that is out of range
 * @throws DataError when `out` has something in it or cannot be written
 * @see docs/synthetic-data.md
 */
export async function writeSynthetic(
  out: string,
  options: WriteSyntheticOptions = {},
): Promise<void> {
  const { onProgress, signal, rowOrder = "time", oracleUsers, ...chosen } = options;
  if (rowOrder !== "time" && rowOrder !== "item")
    throw new ConfigError(`synthetic: rowOrder must be "time" or "item", got "${rowOrder}"`);
  requireOracleUsers(oracleUsers);
  const model = await syntheticModel(chosen);
  const folder = await partialFolder(out);
  try {
    await writeNew(join(folder.data, "movies.csv"), (file) => writeMovies(file, model.catalogue));
    await writeNew(join(folder.data, "ratings.csv"), (file) =>
      writeRatings(file, model, rowOrder, { onProgress, signal }),
    );
    await writeCard(
      folder.data,
      await describeSynthetic(model, { users: oracleUsers, onProgress, signal }),
    );
    await folder.commit();
  } catch (error) {
    await folder.abandon();
    throw fileFault(error, out, "write");
  }
}

async function writeMovies(file: FileHandle, catalogue: Catalogue): Promise<void> {
  const block = new CsvBlock(blockBytes);
  block.text("movieId,title,genres\n");
  for (let item = 0; item < catalogue.items; item++) {
    const genres = genresOf(catalogue, item).join("|") || "(no genres listed)";
    block.text(`${item + 1},${quoted(catalogue.titles[item]!)},${genres}\n`);
    if (block.length > blockBytes - longestRow) await file.writeFile(block.take());
  }
  await file.writeFile(block.take());
}

async function writeRatings(
  file: FileHandle,
  model: SyntheticModel,
  rowOrder: "time" | "item",
  { onProgress, signal }: LongCall,
): Promise<void> {
  const { users, events } = model.parameters;
  const histories = new Histories(model);
  const block = new CsvBlock(blockBytes);
  block.text("userId,movieId,rating,timestamp\n");
  let done = 0;
  for (let user = 0; user < users; user++) {
    const history = histories.of(user);
    const order = rowOrder === "item" ? byItem(history) : undefined;
    for (let i = 0; i < history.length; i++) {
      const t = order === undefined ? i : order[i]! % history.length;
      block.number(user + 1, ",");
      block.number(history.items[t]! + 1, ",");
      const halves = history.levels[t]! + 1;
      block.number(halves >> 1, ".");
      block.number(halves & 1 ? 5 : 0, ",");
      block.number(history.seconds[t]!, "\n");
      if (block.length < blockBytes - longestRow) continue;
      signal?.throwIfAborted();
      await file.writeFile(block.take());
      onProgress?.({
        task: "writing ratings.csv",
        done: done + i + 1,
        total: events,
        unit: "rows",
      });
      await setImmediate();
    }
    done += history.length;
  }
  await file.writeFile(block.take());
  onProgress?.({ task: "writing ratings.csv", done, total: events, unit: "rows" });
}

/** Numbers that rise with the item; modulo the length they are places in the history. */
function byItem({ items, length }: History): Float64Array {
  return Float64Array.from({ length }, (_, t) => items[t]! * length + t).sort();
}
