import { UsageError } from "../../errors.js";
import type { NativeFeature } from "../../native.js";
import type { Feature } from "../feature.js";

/** What a loader needs of prepared data; `PreparedData` has it. */
export interface LoaderData {
  /** For messages. */
  readonly folder?: string;
  /** Differs between data that differs. */
  readonly fingerprint?: string;
  /** How many items there are. */
  readonly items: number;
  readonly features: readonly Feature[];
  /** An index for each event: its `item`, or its value of a feature. */
  column(name: string): Int32Array;
  /** An index for each item. */
  itemColumn(name: string): Int32Array;
  /** Row i has `values[offsets[i] ... offsets[i + 1])`; a row for each event or each item. */
  bag(name: string): { readonly offsets: Int32Array; readonly values: Int32Array };
}

/**
 * The columns behind names of features; by default the item and all but text.
 *
 * @throws UsageError when there is no such feature
 */
export function featuresToLoad(data: LoaderData, names?: readonly string[]): NativeFeature[] {
  const loadable = data.features.filter(({ kind }) => kind !== "text");
  const chosen = names ?? ["item", ...loadable.map(({ name }) => name)];
  return chosen.map((name) => {
    if (name === "item") return { name, source: 0, bag: false, size: data.items, longest: 1 };
    const feature = loadable.find((candidate) => candidate.name === name);
    if (!feature)
      throw new UsageError(
        `Loader: no feature "${name}" to load; there are ${["item", ...loadable.map((f) => f.name)].join(", ")}`,
      );
    return nativeFeature(data, feature);
  });
}

function nativeFeature(
  data: LoaderData,
  { name, kind, of, size, longest }: Feature,
): NativeFeature {
  const source = of === "item" ? 2 : 1;
  if (kind === "bag") return { name, source, bag: true, size, longest, ...data.bag(name) };
  const values = of === "item" ? data.itemColumn(name) : data.column(name);
  return { name, source, bag: false, size, longest: 1, values };
}
