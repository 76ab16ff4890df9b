/** Prepared folders for tests, written with apache-arrow and not with the package's own writer. */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Data,
  type DataType,
  Field,
  Float64,
  Int32,
  Int64,
  LargeUtf8,
  List,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  Timestamp,
  TimeUnit,
  tableToIPC,
  Utf8,
  vectorFromArray,
} from "apache-arrow";
import type { ExecutionContext } from "ava";
import type { Feature, FeatureKind } from "../../../src/data/feature.js";
import type { Manifest, PreparedFile } from "../../../src/data/manifest.js";

export interface FolderFeature {
  readonly name: string;
  readonly kind: FeatureKind;
  readonly of: "event" | "item";
  /** Names, or numbers of an ordinal feature; none of a text. */
  readonly values?: readonly string[] | readonly number[];
  /** Of every event or item: an index or -1, a list of indices, or a text. */
  readonly rows: readonly (number | readonly number[] | string)[];
}

export interface FolderContent {
  /** The items of each user's events, in order. */
  readonly histories: readonly (readonly number[])[];
  /** When the events happened, in milliseconds. Default: a second apart. */
  readonly times?: readonly (readonly number[])[];
  readonly clock?: "time" | "position";
  /** Of every item; undefined for none. Default: `Item 0` and so on, for each item of the histories. */
  readonly titles?: readonly (string | undefined)[];
  readonly features?: readonly FolderFeature[];
}

/** A folder of the test's own, removed after it. */
export async function freshFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-prepared-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a prepared folder and returns its path. */
export async function preparedFolder(t: ExecutionContext, content: FolderContent): Promise<string> {
  const folder = await freshFolder(t);
  await writePreparedFolder(folder, content);
  return folder;
}

export async function writePreparedFolder(folder: string, content: FolderContent): Promise<void> {
  const { histories, clock = "time", features = [] } = content;
  const times = content.times ?? histories.map((items) => items.map((_, i) => 1000 * (i + 1)));
  const events = histories.flat();
  const clockValues = times.flat();
  const itemCount = events.reduce((most, item) => Math.max(most, item + 1), 0);
  const titles = content.titles ?? Array.from({ length: itemCount }, (_, i) => `Item ${i}`);
  const counts = titles.map(() => 0);
  for (const item of events) counts[item]!++;
  const lengths = histories.map((items) => items.length);
  const offsets = runningSums(lengths);

  const columns = (of: "event" | "item"): [string, Data][] =>
    features
      .filter((feature) => feature.of === of)
      .map((feature) => [feature.name, featureData(feature)]);
  const ids = (name: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${name}${i}`);
  const files: [string, [string, Data][]][] = [
    [
      "items.arrow",
      [
        ["id", names(ids("i", titles.length))],
        ["title", names(titles)],
        ["events", int64(counts)],
        ...columns("item"),
      ],
    ],
    [
      "users.arrow",
      [
        ["id", names(ids("u", histories.length))],
        ["offset", int64(offsets.slice(0, -1))],
        ["length", int32(lengths)],
      ],
    ],
    [
      "events.arrow",
      [
        ["item", int32(events)],
        [clock, clock === "time" ? moments(clockValues) : int64(clockValues)],
        ...columns("event"),
      ],
    ],
  ];
  for (const feature of features) {
    if (feature.kind === "text") continue;
    const { name, kind, values = [] } = feature;
    const value = kind === "ordinal" ? float64(values as number[]) : names(values as string[]);
    files.push([
      `vocab-${name}.arrow`,
      [
        ["value", value],
        ["count", int64(valueCounts(feature, events))],
      ],
    ]);
  }

  await mkdir(folder, { recursive: true });
  const prepared: PreparedFile[] = [];
  for (const [name, data] of files) {
    const bytes = arrowFile(data);
    await writeFile(join(folder, name), bytes);
    prepared.push({ name, rows: data[0]![1].length, bytes: bytes.length, sha256: sha256(bytes) });
  }
  const manifest: Manifest = {
    format: "user-llm-data",
    version: 1,
    source: { name: "test", title: "Test", licence: null, citation: null, files: [] },
    counts: {
      events: events.length,
      users: histories.length,
      items: titles.length,
      itemsWithoutEvents: counts.filter((count) => count === 0).length,
      itemsWithoutMetadata: 0,
      repeatedItems: 0,
    },
    clock: { kind: clock, ...clockRange(clockValues), ...ties(times) },
    titles: titleCounts(titles),
    features: features.map(declaration),
    dropped: [],
    files: prepared,
  };
  await writeManifest(folder, manifest);
}

export const writeManifest = (folder: string, manifest: unknown): Promise<void> =>
  writeFile(join(folder, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);

/** Puts a file into the folder as if it had been prepared so. */
export async function replaceFile(folder: string, name: string, bytes: Uint8Array): Promise<void> {
  await writeFile(join(folder, name), bytes);
  const manifest = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"));
  Object.assign(
    manifest.files.find((file: PreparedFile) => file.name === name),
    { bytes: bytes.length, sha256: sha256(bytes) },
  );
  await writeManifest(folder, manifest);
}

export const sha256 = (bytes: Uint8Array): string =>
  createHash("sha256").update(bytes).digest("hex");

export function arrowFile(columns: readonly [name: string, data: Data][]): Uint8Array {
  const fields = columns.map(
    ([name, data]) => new Field(name, data.type as DataType, name === "title"),
  );
  const children = columns.map(([, data]) => data);
  const data = makeData({
    type: new Struct(fields),
    length: children[0]!.length,
    nullCount: 0,
    children,
  });
  return tableToIPC(new Table([new RecordBatch(new Schema(fields), data)]), "file");
}

export const int32 = (values: readonly number[]): Data =>
  makeData({
    type: new Int32(),
    length: values.length,
    nullCount: 0,
    data: Int32Array.from(values),
  });

export const int64 = (values: readonly number[]): Data =>
  makeData({
    type: new Int64(),
    length: values.length,
    nullCount: 0,
    data: BigInt64Array.from(values, BigInt),
  });

export const float64 = (values: readonly number[]): Data =>
  makeData({
    type: new Float64(),
    length: values.length,
    nullCount: 0,
    data: Float64Array.from(values),
  });

export const names = (values: readonly (string | undefined)[]): Data =>
  vectorFromArray(
    values.map((value) => value ?? null),
    new Utf8(),
  ).data[0] ?? emptyText(new Utf8());

export const texts = (values: readonly string[]): Data =>
  vectorFromArray(values, new LargeUtf8()).data[0] ?? emptyText(new LargeUtf8());

const emptyText = (type: Utf8 | LargeUtf8): Data =>
  makeData({
    type: type as Utf8,
    length: 0,
    nullCount: 0,
    valueOffsets: new Int32Array(2),
    data: new Uint8Array(),
  });

export function bags(rows: readonly (readonly number[])[]): Data {
  const valueOffsets = Int32Array.from(runningSums(rows.map((bag) => bag.length)));
  const child = int32(rows.flat()) as Data<Int32>;
  const type = new List(new Field("item", new Int32(), false));
  return makeData({
    type,
    length: rows.length,
    nullCount: 0,
    nullBitmap: null,
    valueOffsets,
    child,
  });
}

export const moments = (values: readonly number[]): Data =>
  makeData({
    type: new Timestamp(TimeUnit.MILLISECOND, "UTC"),
    length: values.length,
    nullCount: 0,
    data: BigInt64Array.from(values, BigInt),
  });

function featureData({ kind, rows }: FolderFeature): Data {
  if (kind === "text") return texts(rows as string[]);
  return kind === "bag" ? bags(rows as number[][]) : int32(rows as number[]);
}

const valuesOfRow = (row: FolderFeature["rows"][number]): readonly number[] =>
  typeof row === "number" ? [row] : (row as readonly number[]);

function valueCounts(
  { of, values = [], rows }: FolderFeature,
  events: readonly number[],
): number[] {
  const counts = values.map(() => 0);
  for (const [event, item] of events.entries()) {
    for (const value of valuesOfRow(rows[of === "event" ? event : item]!)) {
      if (value >= 0) counts[value]!++;
    }
  }
  return counts;
}

function declaration({ name, kind, of, values = [], rows }: FolderFeature): Feature {
  const isMissing = (row: FolderFeature["rows"][number]): boolean =>
    typeof row === "number" ? row < 0 : row.length === 0;
  const longest = kind === "bag" ? Math.max(0, ...rows.map((row) => valuesOfRow(row).length)) : 1;
  return { name, kind, of, size: values.length, missing: rows.filter(isMissing).length, longest };
}

const clockRange = (moments: readonly number[]): { first: number | null; last: number | null } =>
  moments.length === 0
    ? { first: null, last: null }
    : {
        first: moments.reduce((a, b) => Math.min(a, b)),
        last: moments.reduce((a, b) => Math.max(a, b)),
      };

function ties(times: readonly (readonly number[])[]): {
  tiedEvents: number;
  usersWithTiedLast: number;
} {
  const isTied = (history: readonly number[], i: number): boolean =>
    history[i] === history[i - 1] || history[i] === history[i + 1];
  return {
    tiedEvents: sum(times.map((history) => history.filter((_, i) => isTied(history, i)).length)),
    usersWithTiedLast: times.filter(
      (history) => history.length > 0 && isTied(history, history.length - 1),
    ).length,
  };
}

function titleCounts(titles: readonly (string | undefined)[]): Manifest["titles"] {
  const items = new Map<string | undefined, number>();
  for (const title of titles) items.set(title, (items.get(title) ?? 0) + 1);
  const shared = titles.filter((title) => title !== undefined && items.get(title)! > 1);
  return {
    missing: titles.filter((title) => title === undefined).length,
    shared: new Set(shared).size,
    itemsSharing: shared.length,
  };
}

/** 0, then the sum of the first value, of the first two, ... */
function runningSums(values: readonly number[]): number[] {
  const sums = [0];
  for (const value of values) sums.push(sums.at(-1)! + value);
  return sums;
}

const sum = (values: readonly number[]): number =>
  values.reduce((total, value) => total + value, 0);
