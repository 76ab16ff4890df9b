import { type Feature, missingIndex } from "../data/feature.js";
import type { PreparedData } from "../data/index.js";

/** The values of a feature by rows of events: row r has `indices[begin(r) ... end(r) - 1]`. */
export interface EventValues {
  readonly indices: Int32Array;
  begin(row: number): number;
  end(row: number): number;
}

/** Reads a feature by rows of events, whether it is of the event or of the event's item, one value or a bag. */
export function eventValues(data: PreparedData, { name, kind, of }: Feature): EventValues {
  const items = data.column("item");
  const placeOf = of === "event" ? (row: number) => row : (row: number) => items[row]!;
  if (kind === "bag") {
    const { offsets, values } = data.bag(name);
    return {
      indices: values,
      begin: (row) => offsets[placeOf(row)]!,
      end: (row) => offsets[placeOf(row) + 1]!,
    };
  }
  const indices = of === "event" ? data.column(name) : data.itemColumn(name);
  return {
    indices,
    begin: placeOf,
    end(row) {
      const place = placeOf(row);
      return indices[place] === missingIndex ? place : place + 1;
    },
  };
}

/** The first value of a row; undefined where it has none. */
export function firstValue({ indices, begin, end }: EventValues, row: number): number | undefined {
  const place = begin(row);
  return place < end(row) ? indices[place] : undefined;
}
