import type { PreparedData } from "../../data/index.js";
import { forRowBlocks } from "../../data/prepared/row-blocks.js";
import { DataError } from "../../errors.js";
import type { CardFeature, LoadedEncoder } from "../encoder-bundle/index.js";

/** What the numbers of some data are for an encoder; -1 for what it does not know. */
export interface Mapping {
  /** Of each item. Undefined where the numbers are the same. */
  readonly items: Int32Array | undefined;
  /** Of each value of a feature of events; undefined where the numbers are the same. */
  readonly values: ReadonlyMap<string, Int32Array | undefined>;
  /** Features of events that the encoder reads and the data does not have. */
  readonly absent: readonly string[];
}

/**
 * Compares items and values by their names. Features of items are the encoder's own affair: it knows its items.
 *
 * @throws DataError when the data has a feature of that name which is something else
 */
export async function mappingOf(
  data: PreparedData,
  { card, catalogue }: LoadedEncoder,
): Promise<Mapping> {
  const read = card.features.filter(({ name, of }) => name !== "item" && of === "event");
  if (data.fingerprint === card.provenance.data.fingerprint)
    return {
      items: undefined,
      values: new Map(read.map(({ name }) => [name, undefined])),
      absent: [],
    };
  const values = new Map<string, Int32Array>();
  const absent: string[] = [];
  for (const feature of read)
    if (hasFeature(data, feature))
      values.set(feature.name, valueMap(data, feature.name, catalogue.vocabulary(feature.name)));
    else absent.push(feature.name);
  return { items: await itemMap(data, catalogue), values, absent };
}

async function itemMap(
  data: PreparedData,
  catalogue: LoadedEncoder["catalogue"],
): Promise<Int32Array> {
  const known = await catalogue.itemIds();
  const items = new Int32Array(data.items);
  const work = (from: number, to: number) => {
    for (let item = from; item < to; item++) items[item] = known.find(data.itemId(item));
  };
  await forRowBlocks(data.items, "looking for items", {}, work, 1 << 13);
  return items;
}

function hasFeature(data: PreparedData, { name, kind, of }: CardFeature): boolean {
  const found = data.features.find((feature) => feature.name === name);
  if (found === undefined) return false;
  const isBag = kind === "bag";
  if (found.of === of && (found.kind === "bag") === isBag && found.kind !== "text") return true;
  throw new DataError(
    `${data.folder}: "${name}" is ${found.kind} of ${found.of}s there, ${kind} of ${of}s to the encoder`,
  );
}

function valueMap(
  data: PreparedData,
  name: string,
  known: readonly string[] | Float64Array,
): Int32Array {
  const indices = new Map<string | number, number>();
  known.forEach((value: string | number, index: number) => indices.set(value, index));
  const mapOne = (value: string | number) => indices.get(value) ?? -1;
  return Int32Array.from(data.vocabulary(name) as readonly (string | number)[], mapOne);
}
