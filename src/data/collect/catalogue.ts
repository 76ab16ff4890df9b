/** The items in their final order, once all events have been read. */
import { type Feature, missingIndex } from "../feature.js";
import type { Source } from "../source.js";
import type { Collected, ItemColumn, Vocabulary } from "./collected.js";
import type { ItemFeature } from "./item-features.js";
import type { Items } from "./items.js";
import { namesOf } from "./names.js";
import { arrange, remapOf } from "./vocabularies.js";

export interface Catalogue {
  readonly items: Collected["items"];
  /** Final index of each item as it came, -1 for those that are gone; undefined where all stay. */
  readonly remap: Int32Array | undefined;
  readonly features: readonly Feature[];
  readonly vocabularies: readonly Vocabulary[];
}

/**
 * @param counts events of each item, as the items came
 * @param fromTable how many of them are of the items table; undefined without one
 */
export async function catalogueOf(
  { ids, titles, features, repeated }: Items,
  counts: Float64Array,
  fromTable: number | undefined,
  catalogue: Source["catalogue"],
): Promise<Catalogue> {
  const order = catalogue === "seen" ? placesWithEvents(counts) : undefined;
  const kept = order === undefined ? counts : Float64Array.from(order, (index) => counts[index]!);
  const finished: Finished[] = [];
  for (const feature of features) finished.push(await finish(feature, order, kept));
  return {
    items: {
      ids: await namesOf(ids, order),
      titles: order === undefined ? titles : order.map((index) => titles[index]),
      columns: finished.map(({ column }) => column),
      counts: kept,
      withoutMetadata: fromTable === undefined ? 0 : ids.size - fromTable,
      repeated,
    },
    remap: order && remapOf(order, ids.size),
    features: finished.map(({ declared }) => declared),
    vocabularies: finished.flatMap(({ vocabulary }) => vocabulary ?? []),
  };
}

interface Finished {
  readonly column: ItemColumn;
  readonly declared: Feature;
  /** Undefined for text. */
  readonly vocabulary?: Vocabulary;
}

async function finish(
  feature: ItemFeature,
  order: readonly number[] | undefined,
  counts: Float64Array,
): Promise<Finished> {
  const { name, kind, values } = feature;
  const column = order === undefined ? feature.column() : pickRows(feature.column(), order);
  const declare = (size: number, missing: number, longest: number): Feature => ({
    name,
    kind,
    of: "item",
    size,
    missing,
    longest,
  });
  if (column.kind === "text" || values === undefined) {
    const missing = column.kind === "text" ? column.texts.filter((text) => text === "").length : 0;
    return { column, declared: declare(0, missing, 1) };
  }
  const indices = column.kind === "single" ? column.indices : column.values;
  const arranged = await arrange(values, kind, order && usedOf(indices, values.size));
  if (arranged.remap !== undefined) replace(indices, arranged.remap);
  const { missing, longest, valueCounts } = survey(column, arranged.values.length, counts);
  return {
    column,
    declared: declare(arranged.values.length, missing, longest),
    vocabulary: { feature: name, values: arranged.values, counts: valueCounts },
  };
}

/** The rows of a column in another order. */
function pickRows(column: ItemColumn, order: readonly number[]): ItemColumn {
  const { feature } = column;
  if (column.kind === "text") {
    return { feature, kind: "text", texts: order.map((row) => column.texts[row]!) };
  }
  if (column.kind === "single") {
    return {
      feature,
      kind: "single",
      indices: Int32Array.from(order, (row) => column.indices[row]!),
    };
  }
  const offsets = new Int32Array(order.length + 1);
  const values: number[] = [];
  for (const [place, row] of order.entries()) {
    for (let i = column.offsets[row]!; i < column.offsets[row + 1]!; i++)
      values.push(column.values[i]!);
    offsets[place + 1] = values.length;
  }
  return { feature, kind: "bag", offsets, values: Int32Array.from(values) };
}

/** Which of `size` indices there are: 1, or 0. */
function usedOf(indices: Int32Array, size: number): Uint8Array {
  const used = new Uint8Array(size);
  for (const index of indices) if (index >= 0) used[index] = 1;
  return used;
}

function replace(indices: Int32Array, remap: Int32Array): void {
  for (let i = 0; i < indices.length; i++) if (indices[i]! >= 0) indices[i] = remap[indices[i]!]!;
}

/** Items without a value, most values of an item, and events of each value. */
function survey(column: Exclude<ItemColumn, { kind: "text" }>, size: number, counts: Float64Array) {
  const valueCounts = new Float64Array(size);
  const values = column.kind === "bag" ? column.values : column.indices;
  let missing = 0;
  let longest = column.kind === "bag" ? 0 : 1;
  for (let row = 0; row < counts.length; row++) {
    const start = column.kind === "bag" ? column.offsets[row]! : row;
    const end = column.kind === "bag" ? column.offsets[row + 1]! : row + 1;
    if (start === end || values[start] === missingIndex) missing++;
    else longest = Math.max(longest, end - start);
    for (let i = start; i < end; i++) if (values[i]! >= 0) valueCounts[values[i]!]! += counts[row]!;
  }
  return { missing, longest, valueCounts };
}

function placesWithEvents(counts: Float64Array): number[] {
  const places: number[] = [];
  for (let place = 0; place < counts.length; place++) if (counts[place]! > 0) places.push(place);
  return places;
}
