import type { Bags, Feature, LoaderData, LoaderWindows, PreparedData } from "../../data/index.js";
import type { LoadedEncoder } from "../encoder-bundle/index.js";
import type { Mapping } from "./mapping.js";

/** What the encoder did not know. */
export interface Unknowns {
  /** Events of items that it does not know, all left out. */
  events: number;
  /** By feature: values that it does not know, which count as missing. */
  readonly values: Record<string, number>;
}

/** The last events of some users, as a loader takes them. */
export interface Histories {
  readonly data: LoaderData;
  /** One for each user with events, in their order. */
  readonly windows: LoaderWindows;
  /** How many events of each user are taken, users without any included: `[users]`. */
  readonly lengths: Int32Array;
}

/** What is picked of the data's rows, and what its numbers are to the encoder. */
interface Picked {
  readonly data: PreparedData;
  readonly rows: Float64Array;
  readonly mapping: Mapping;
  readonly unknowns: Unknowns;
}

/**
 * Takes the last events of users, the very last included, that are of items which the encoder knows.
 *
 * @param users    of the data
 * @param unknowns is added to
 */
export function historiesOf(
  data: PreparedData,
  users: readonly number[],
  { card, catalogue }: Pick<LoadedEncoder, "card" | "catalogue">,
  mapping: Mapping,
  unknowns: Unknowns,
): Histories {
  const { rows, starts, lengths } = lastRows(data, users, card.length, mapping, unknowns);
  const picked: Picked = { data, rows, mapping, unknowns };
  const items = mapped(data.column("item"), rows, mapping.items);
  const columns = new Map([["item", items]]);
  const bags = new Map<string, Bags>();
  const features = card.features.slice(1).map((feature): Feature => {
    const { name, kind, of } = feature;
    if (of === "item") return { ...feature, missing: 0 };
    if (kind !== "bag") {
      columns.set(name, singles(picked, name));
      return { ...feature, missing: 0 };
    }
    const bag = bagsOf(picked, name);
    bags.set(name, bag);
    return { ...feature, missing: 0, longest: longestOf(bag) };
  });
  const loaderData: LoaderData = {
    items: catalogue.items,
    features,
    folder: data.folder,
    column: (name) => columns.get(name)!,
    itemColumn: (name) => catalogue.itemColumn(name),
    bag: (name) => bags.get(name) ?? catalogue.bag(name),
  };
  return { data: loaderData, windows: windowsOf(starts, card.length), lengths };
}

/**
 * The rows of each user with events, and behind them one that stands where a loader looks for a target.
 *
 * @returns starts of the users with events among `rows`, then the number of rows
 */
function lastRows(
  data: PreparedData,
  users: readonly number[],
  length: number,
  { items: known }: Mapping,
  unknowns: Unknowns,
): { rows: Float64Array; starts: Float64Array; lengths: Int32Array } {
  const items = data.column("item");
  const rows: number[] = [];
  const starts = [0];
  const lengths = new Int32Array(users.length);
  for (const [i, user] of users.entries()) {
    const begin = data.userOffsets[user]!;
    const taken: number[] = [];
    for (let row = data.userOffsets[user + 1]! - 1; row >= begin; row--) {
      if (known !== undefined && known[items[row]!]! < 0) unknowns.events++;
      else if (taken.length < length) taken.push(row);
      if (known === undefined && taken.length === length) break;
    }
    lengths[i] = taken.length;
    const [last] = taken;
    if (last === undefined) continue;
    rows.push(...taken.reverse(), last);
    starts.push(rows.length);
  }
  return { rows: Float64Array.from(rows), starts: Float64Array.from(starts), lengths };
}

function windowsOf(starts: Float64Array, length: number): LoaderWindows {
  const count = starts.length - 1;
  const first = starts.slice(1).map((end) => end - 1);
  const cumulative = Float64Array.from({ length: count + 1 }, (_, i) => i);
  return { length, count, first, cumulative, starts };
}

function mapped(column: Int32Array, rows: Float64Array, map: Int32Array | undefined): Int32Array {
  const values = new Int32Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const value = column[rows[i]!]!;
    values[i] = map === undefined || value < 0 ? value : map[value]!;
  }
  return values;
}

/** The values of a feature of events, -1 where there is none. */
function singles({ data, rows, mapping, unknowns }: Picked, name: string): Int32Array {
  if (mapping.absent.includes(name)) return new Int32Array(rows.length).fill(-1);
  const map = mapping.values.get(name);
  const column = data.column(name);
  const values = mapped(column, rows, map);
  if (map !== undefined)
    for (let i = 0; i < rows.length; i++)
      if (values[i]! < 0 && column[rows[i]!]! >= 0 && isInput(rows, i))
        countUnknown(unknowns, name);
  return values;
}

function bagsOf({ data, rows, mapping, unknowns }: Picked, name: string): Bags {
  const offsets = new Int32Array(rows.length + 1);
  if (mapping.absent.includes(name)) return { offsets, values: new Int32Array(0) };
  const map = mapping.values.get(name);
  const bag = data.bag(name);
  const values: number[] = [];
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    for (let at = bag.offsets[row]!; at < bag.offsets[row + 1]!; at++) {
      const value = map === undefined ? bag.values[at]! : map[bag.values[at]!]!;
      if (value >= 0) values.push(value);
      else if (isInput(rows, i)) countUnknown(unknowns, name);
    }
    offsets[i + 1] = values.length;
  }
  return { offsets, values: Int32Array.from(values) };
}

/** Whether a row is an event, and not the one behind the last, which repeats it. */
const isInput = (rows: Float64Array, i: number): boolean => i === 0 || rows[i] !== rows[i - 1];

function countUnknown({ values }: Unknowns, name: string): void {
  values[name] = (values[name] ?? 0) + 1;
}

function longestOf({ offsets }: Bags): number {
  let longest = 0;
  for (let i = 0; i + 1 < offsets.length; i++)
    longest = Math.max(longest, offsets[i + 1]! - offsets[i]!);
  return longest;
}
