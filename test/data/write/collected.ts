/** A small dataset as `collect` hands it over, made by hand; and readers of what was written from it. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Table, tableFromIPC } from "apache-arrow";
import type { Collected } from "../../../src/data/collect/collected.js";
import { Dictionary } from "../../../src/data/dictionary.js";
import { fileSpool } from "../../../src/data/sort/file-spool.js";
import { memorySorter } from "../../../src/data/sort/memory-sorter.js";
import type { EventSorter } from "../../../src/data/sort/sorter.js";
import type { Source } from "../../../src/data/source.js";

export const source: Source = {
  name: "invented",
  title: "Invented films",
  events: { open: () => Promise.reject(new Error("not read")), mapping: emptyMapping() },
  catalogue: "all",
};

function emptyMapping() {
  return { user: "user", item: "item", features: {} };
}

/** user, item, time, rating as it came (-1: none), tags, review */
type Event = [string, number, number, number, number[], string];

/** In the order of the source. Items and ratings are numbered as they came: `remaps` gives their final numbers. */
export const events: readonly Event[] = [
  ["ada", 0, 1000, 0, [0], "fine"],
  ["bob", 1, 500, 1, [], ""],
  ["ada", 2, 1000, -1, [1, 2], "große Klasse 🎬"],
  ["ada", 1, -2000, 2, [2], "x".repeat(5000)],
  ["bob", 0, 500, 0, [0, 1, 2, 3], "second"],
  ["cleo", 2, 2 ** 53, 1, [3], "only"],
  ["ada", 0, 1000, 1, [], "again"],
];
/** Places of `events` in the order of (user, time, place). */
export const sortedEvents = [3, 0, 2, 6, 1, 4, 5];
export const itemRemap = Int32Array.of(2, 0, 1);
export const ratingRemap = Int32Array.of(1, 2, 0);

/** The collected dataset; `sorter` and the spools' files are its own. */
export async function collectedOf(
  scratch: string,
  sorter: EventSorter = memorySorter(2),
): Promise<Collected> {
  await mkdir(scratch, { recursive: true });
  const users = new Dictionary();
  const tags = await fileSpool(join(scratch, "tags.spool"), "bag");
  const review = await fileSpool(join(scratch, "review.spool"), "text");
  for (const [user, item, time, rating, bag, text] of events) {
    await sorter.append({
      rows: 1,
      user: Int32Array.of(users.index(user)),
      time: Float64Array.of(time),
      columns: [Int32Array.of(item), Int32Array.of(rating)],
    });
    tags.append(bag);
    review.append(text);
  }
  return {
    sorter,
    events: events.length,
    clock: "time",
    remaps: [itemRemap, ratingRemap],
    spools: new Map([
      ["tags", tags],
      ["review", review],
    ]),
    users,
    items: {
      ids: ["m1", "m2", "m3", "m4"],
      titles: ["Dawn", undefined, "Dawn", "Ö 🎞"],
      columns: [
        { feature: "maker", kind: "single", indices: Int32Array.of(0, -1, 1, 0) },
        {
          feature: "genres",
          kind: "bag",
          offsets: Int32Array.of(0, 2, 2, 3, 4),
          values: Int32Array.of(0, 1, 1, 2),
        },
        { feature: "plot", kind: "text", texts: ["A morning.", "", "\ud83d", "\ude00 half"] },
      ],
      counts: Float64Array.of(2, 2, 3, 0),
      withoutMetadata: 1,
      repeated: 3,
    },
    features: [
      { name: "rating", kind: "ordinal", of: "event", size: 3, missing: 1, longest: 1 },
      { name: "tags", kind: "bag", of: "event", size: 4, missing: 2, longest: 4 },
      { name: "review", kind: "text", of: "event", size: 0, missing: 1, longest: 1 },
      { name: "maker", kind: "id", of: "item", size: 2, missing: 1, longest: 1 },
      { name: "genres", kind: "bag", of: "item", size: 3, missing: 1, longest: 2 },
      { name: "plot", kind: "text", of: "item", size: 0, missing: 1, longest: 1 },
    ],
    vocabularies: [
      {
        feature: "rating",
        values: Float64Array.of(0.5, 3, 4.5),
        counts: Float64Array.of(1, 2, 3),
      },
      { feature: "tags", values: ["a", "b", "c", "d"], counts: Float64Array.of(2, 2, 3, 2) },
      { feature: "maker", values: ["Ann", "Ben"], counts: Float64Array.of(2, 3) },
      { feature: "genres", values: ["war", "art", "war|art"], counts: Float64Array.of(2, 5, 0) },
    ],
    dropped: [{ rule: "expected a number", rows: 2, first: "ratings.csv, line 3" }],
    files: [{ name: "ratings.csv", bytes: 123, sha256: "ab" }],
  };
}

export async function closeCollected({ sorter, spools }: Collected): Promise<void> {
  await sorter.close();
  for (const spool of spools.values()) await spool.close();
}

export async function tableOf(folder: string, name: string): Promise<Table> {
  return tableFromIPC(await readFile(join(folder, name)));
}

/** A column as an array of plain values. */
export function valuesOf(table: Table, name: string): unknown[] {
  const column = table.getChild(name)!;
  if (name === "time") return Array.from(column.data[0]!.values as BigInt64Array, Number);
  return Array.from({ length: table.numRows }, (_, row) => {
    const value: unknown = column.get(row);
    if (typeof value === "bigint") return Number(value);
    return isIterable(value) ? [...value] : value;
  });
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.iterator in value;
}
