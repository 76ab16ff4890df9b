/** Invented data for loaders, and batches written down from their definition. */
import fc from "fast-check";
import type { Feature } from "../../../src/data/feature.js";
import type { Batch, BatchLayout } from "../../../src/data/loader/batch.js";
import type { LoaderWindows } from "../../../src/data/loader/loader.js";
import type { LoaderData } from "../../../src/data/loader/loader-features.js";
import { permutation } from "../../../src/data/loader/permutation.js";
import type { Tensor } from "../../../src/tensor/index.js";

interface Bag {
  offsets: Int32Array;
  values: Int32Array;
}

/** Prepared data in plain arrays. Features: the item, `rating`, `tags` of events; `brand`, `genres` of items; a text. */
export class InventedData implements LoaderData {
  readonly items = 23;
  readonly features: readonly Feature[];
  readonly starts: Float64Array;
  readonly columns: Record<"item" | "rating" | "brand", Int32Array>;
  readonly bags: Record<"tags" | "genres", Bag>;

  constructor(lengths: readonly number[], seed = 1) {
    const random = numbers(seed);
    this.starts = runningSum(lengths);
    const events = this.starts.at(-1)!;
    const column = (rows: number, low: number, high: number): Int32Array =>
      Int32Array.from({ length: rows }, () => low + Math.floor(random() * (high - low)));
    this.columns = {
      item: column(events, 0, this.items),
      rating: column(events, -1, 5),
      brand: column(this.items, -1, 7),
    };
    const bag = (rows: number, longest: number, size: number): Bag => {
      const offsets = Int32Array.from(runningSum(column(rows, 0, longest + 1)));
      return { offsets, values: column(offsets.at(-1)!, 0, size) };
    };
    this.bags = { tags: bag(events, 3, 11), genres: bag(this.items, 4, 6) };
    const feature = (
      name: string,
      kind: Feature["kind"],
      of: Feature["of"],
      size: number,
      longest = 1,
    ): Feature => ({ name, kind, of, size, longest, missing: 0 });
    this.features = [
      feature("rating", "ordinal", "event", 5),
      feature("tags", "bag", "event", 11, 3),
      feature("review", "text", "event", 0),
      feature("brand", "categorical", "item", 7),
      feature("genres", "bag", "item", 6, 4),
    ];
  }

  column = (name: string): Int32Array => this.columns[name as "item"];
  itemColumn = (name: string): Int32Array => this.columns[name as "brand"];
  bag = (name: string): Bag => this.bags[name as "tags"];

  /** Windows of at least `least` inputs and at most `length`: every later row of a user is a target. */
  windows(length: number, least = 1, stride = 1): LoaderWindows {
    const { starts } = this;
    const first = starts.slice(0, -1).map((start) => start + least);
    const counts = first.map((row, user) =>
      Math.max(0, Math.ceil((starts[user + 1]! - row) / stride)),
    );
    const cumulative = runningSum(counts);
    return { length, count: cumulative.at(-1)!, first, cumulative, starts, stride };
  }
}

function runningSum(values: ArrayLike<number>): Float64Array {
  const sums = new Float64Array(values.length + 1);
  for (let i = 0; i < values.length; i++) sums[i + 1] = sums[i]! + values[i]!;
  return sums;
}

function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 8) ^ (state & 0xff)) / 2 ** 24;
  };
}

export const inventedData = (): fc.Arbitrary<InventedData> =>
  fc
    .tuple(fc.array(fc.nat({ max: 12 }), { maxLength: 20 }), fc.nat())
    .map(([lengths, seed]) => new InventedData(lengths, seed));

/** What a batch says, without tensors. */
export interface PlainBatch {
  size: number;
  users: number[];
  targetRows: number[];
  extents: number[];
  inputs: Record<string, number[]>;
  bags: Record<string, { ids: number[]; offsets: number[] }>;
  targets: Record<string, number[]>;
}

export async function plain(batch: Batch): Promise<PlainBatch> {
  const list = async (tensor: Tensor): Promise<number[]> => [...(await tensor.dataAs("int32"))];
  const record = async <From, To>(
    from: Readonly<Record<string, From>>,
    convert: (value: From) => Promise<To>,
  ): Promise<Record<string, To>> =>
    Object.fromEntries(
      await Promise.all(
        Object.entries(from).map(async ([name, value]) => [name, await convert(value)] as const),
      ),
    );
  return {
    size: batch.size,
    users: [...batch.users],
    targetRows: [...batch.targetRows],
    extents: [...batch.extents],
    inputs: await record(batch.inputs, list),
    bags: await record(batch.bags, async ({ ids, offsets }) => ({
      ids: await list(ids),
      offsets: await list(offsets),
    })),
    targets: await record(batch.targets, list),
  };
}

export interface NaiveOptions {
  batchSize: number;
  layout: BatchLayout;
  targets: boolean;
  shuffle: boolean;
  seed: number;
  rank: number;
  world: number;
  dropLast: boolean;
}

/** The batches of one epoch, window by window and value by value. */
export function naiveEpoch(
  data: InventedData,
  windows: LoaderWindows,
  epoch: number,
  options: NaiveOptions,
): PlainBatch[] {
  const { batchSize, shuffle, seed, rank, world, dropLast } = options;
  const all: { user: number; start: number; target: number }[] = [];
  for (let user = 0; user + 1 < data.starts.length; user++) {
    const count = windows.cumulative[user + 1]! - windows.cumulative[user]!;
    for (let i = 0; i < count; i++) {
      const target = windows.first[user]! + i * windows.stride!;
      all.push({ user, start: Math.max(data.starts[user]!, target - windows.length), target });
    }
  }
  const at = permutation(all.length, seed, epoch);
  const ordered = all.map((_, i) => all[shuffle ? at(i) : i]!);
  let mine = ordered.filter((_, i) => i % world === rank);
  if (dropLast) mine = mine.slice(0, Math.floor(all.length / world));
  const batches: PlainBatch[] = [];
  for (let i = 0; i < mine.length; i += batchSize)
    batches.push(naiveBatch(data, mine.slice(i, i + batchSize), windows.length, options));
  return dropLast ? batches.filter(({ size }) => size === batchSize) : batches;
}

function naiveBatch(
  data: InventedData,
  windows: readonly { user: number; start: number; target: number }[],
  length: number,
  { layout, targets }: NaiveOptions,
): PlainBatch {
  const inputsOf = windows.map(({ start, target }) => target - start);
  const batch: PlainBatch = {
    size: windows.length,
    users: windows.map(({ user }) => user),
    targetRows: windows.map(({ target }) => target),
    extents: layout === "padded" ? inputsOf : [...runningSum(inputsOf)],
    inputs: {},
    bags: {},
    targets: {},
  };
  /** Row of the input at each position, undefined for padding. */
  const rows = windows.flatMap(({ start, target }) => {
    const real = Array.from({ length: target - start }, (_, i): number | undefined => start + i);
    return layout === "padded" ? Object.assign(new Array(length).fill(undefined), real) : real;
  }) as (number | undefined)[];

  const { item, rating, brand } = data.columns;
  const singles: Record<string, { size: number; value: (row: number) => number }> = {
    item: { size: data.items, value: (row) => item[row]! },
    rating: { size: 5, value: (row) => rating[row]! },
    brand: { size: 7, value: (row) => brand[item[row]!]! },
  };
  for (const [name, { size, value }] of Object.entries(singles)) {
    const input = (row: number): number => (value(row) < 0 ? size : value(row));
    const target = (row: number): number => (value(row) < 0 ? -100 : value(row));
    batch.inputs[name] = rows.map((row) => (row === undefined ? 0 : input(row)));
    if (targets)
      batch.targets[name] = rows.map((row) => (row === undefined ? -100 : target(row + 1)));
  }

  const valuesOf = ({ offsets, values }: Bag, row: number): number[] => [
    ...values.slice(offsets[row]!, offsets[row + 1]!),
  ];
  const bags: Record<string, { longest: number; values: (row: number) => number[] }> = {
    tags: { longest: 3, values: (row) => valuesOf(data.bags.tags, row) },
    genres: { longest: 4, values: (row) => valuesOf(data.bags.genres, item[row]!) },
  };
  for (const [name, { longest, values }] of Object.entries(bags)) {
    const inputs = rows.map((row) => (row === undefined ? [] : values(row)));
    batch.bags[name] = {
      ids: inputs.flat(),
      offsets: [...runningSum(inputs.map((bag) => bag.length))],
    };
    const target = (bag: number[]): number[] => Object.assign(new Array(longest).fill(-100), bag);
    if (targets)
      batch.targets[name] = rows.flatMap((row) => target(row === undefined ? [] : values(row + 1)));
  }
  return batch;
}
