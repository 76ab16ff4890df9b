/** Final indices: ordinal values rise, and what no item of the catalogue has is gone. */
import type { Feature } from "../feature.js";
import type { Vocabulary } from "./collected.js";
import type { Counts } from "./lists.js";
import type { Values } from "./values.js";

/** A vocabulary's values in their final order; `remap` is undefined where the order stays. */
export interface Arranged {
  readonly values: readonly string[] | Float64Array;
  /** Final index of each index as it came, -1 for values that are gone. */
  readonly remap: Int32Array | undefined;
}

/** @param used which values stay; undefined: all */
export async function arrange(
  values: Values,
  kind: Feature["kind"],
  used?: Uint8Array,
): Promise<Arranged> {
  const list = await values.list();
  let order = Array.from(list.keys());
  if (used !== undefined) order = order.filter((index) => used[index] === 1);
  if (kind === "ordinal") {
    const numbers = list as readonly number[];
    order.sort((a, b) => numbers[a]! - numbers[b]!);
    return {
      values: Float64Array.from(order, (index) => numbers[index]!),
      remap: remapOf(order, list.length),
    };
  }
  const names = list as readonly string[];
  return { values: order.map((index) => names[index]!), remap: remapOf(order, list.length) };
}

/** The final index of each of `length` indices, -1 for those that `order` does not name; undefined if all stay as they are. */
export function remapOf(order: readonly number[], length: number): Int32Array | undefined {
  if (order.length === length && order.every((index, place) => index === place)) return undefined;
  const remap = new Int32Array(length).fill(-1);
  for (const [place, index] of order.entries()) remap[index] = place;
  return remap;
}

/** The vocabulary of an event feature, whose values all stay. */
export function eventVocabulary(
  feature: string,
  { values, remap }: Arranged,
  counts: Counts,
): Vocabulary {
  const asTheyCame = counts.toArray(values.length);
  if (remap === undefined) return { feature, values, counts: asTheyCame };
  const arranged = new Float64Array(values.length);
  for (const [index, place] of remap.entries()) arranged[place] = asTheyCame[index]!;
  return { feature, values, counts: arranged };
}
