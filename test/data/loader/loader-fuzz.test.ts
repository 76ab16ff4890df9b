/** Hostile specs and hostile columns: an error or a batch, never a crash and never a value from elsewhere. */
import test from "ava";
import fc from "fast-check";
import { Loader } from "../../../src/data/loader/loader.js";
import { DataError } from "../../../src/errors.js";
import { type NativeLoaderSpec, native } from "../../../src/native.js";
import { InventedData, plain } from "./loader-data.js";

const anyInt32 = (): fc.Arbitrary<number> =>
  fc.oneof(
    fc.integer({ min: -5, max: 30 }),
    fc.constantFrom(2 ** 31 - 1, -(2 ** 31), 1 << 30),
    fc.integer(),
  );
const anyDouble = (): fc.Arbitrary<number> =>
  fc.oneof(
    fc.integer({ min: -3, max: 60 }),
    fc.constantFrom(NaN, Infinity, -Infinity, 2 ** 53, 2 ** 63, -(2 ** 63), 1e300, 0.5, -0),
    fc.double(),
  );

test.serial("columns and windows with wrong numbers", async (t) => {
  const damage = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<{ at: number; value: T }[]> =>
    fc.array(fc.record({ at: fc.nat(), value }), { maxLength: 3 });
  let failures = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(damage(anyInt32()), { minLength: 8, maxLength: 8 }),
      fc.array(damage(anyDouble()), { minLength: 3, maxLength: 3 }),
      fc.boolean(),
      fc.boolean(),
      async (int32s, doubles, shuffle, ragged) => {
        const data = new InventedData([9, 4, 0, 13, 6], 3);
        const windows = data.windows(5, 2);
        const { columns, bags } = data;
        const hit = (
          array: Int32Array | Float64Array,
          places: { at: number; value: number }[] = [],
        ): void => {
          for (const { at, value } of places) array[at % array.length] = value;
        };
        const all = [columns.item, columns.rating, columns.brand, bags.tags.offsets];
        all.push(bags.tags.values, bags.genres.offsets, bags.genres.values);
        for (const [i, column] of all.entries()) hit(column, int32s[i]);
        for (const [i, table] of [windows.first, windows.cumulative, windows.starts].entries())
          hit(table, doubles[i]);
        const loader = new Loader(data, windows, {
          batchSize: 4,
          shuffle,
          layout: ragged ? "ragged" : "padded",
        });
        try {
          for await (const batch of loader) {
            const { inputs, bags, targets } = await plain(batch);
            const within = (ids: number[], high: number, low = 0): boolean =>
              ids.every((id) => id === -100 || (id >= low && id <= high));
            t.true(within(inputs.item!, 22) && within(inputs.rating!, 5));
            t.true(within(inputs.brand!, 7) && within(bags.tags!.ids, 10));
            t.true(within(bags.genres!.ids, 5) && within(targets.genres!, 5));
          }
        } catch (error) {
          failures++;
          t.true(error instanceof DataError, String(error));
        }
      },
    ),
    { numRuns: 400 },
  );
  t.true(failures > 50, `${failures} of 400 fail`);
});

function goodSpec(): NativeLoaderSpec {
  const data = new InventedData([9, 4, 0, 13, 6], 3);
  const { first, cumulative, starts, length, count } = data.windows(5, 2);
  return {
    ...{ first, cumulative, starts, length, stride: 1 },
    items: data.columns.item,
    itemCount: 23,
    features: [
      { name: "item", source: 0, bag: false, size: 23, longest: 1 },
      { name: "rating", source: 1, bag: false, size: 5, longest: 1, values: data.columns.rating },
      { name: "genres", source: 2, bag: true, size: 6, longest: 4, ...data.bags.genres },
    ],
    ...{ ragged: false, targets: true, batchSize: 4, prefetch: 2, shuffle: true, seed: 1 },
    ...{ rank: 0, world: 1, share: count, epoch: 0, position: 0, endEpoch: 1 },
  };
}

/** Reads at most a few batches. */
async function read(spec: NativeLoaderSpec): Promise<"end" | "error" | "batches"> {
  const id = native.loaderCreate(spec);
  if (typeof id === "string") return "error";
  try {
    for (let i = 0; i < 10; i++) {
      const block = await native.loaderNext(id);
      if (block === undefined) return "end";
      if (typeof block === "string") return "error";
      const [slot] = new Float64Array(block, 0, 1);
      for (const other of [slot!, slot!, -1, 99, NaN]) native.loaderRecycle(id, other);
    }
    return "batches";
  } finally {
    native.loaderClose(id);
    native.loaderClose(id);
  }
}

test.serial("specs of wrong values and types", async (t) => {
  const wrong = fc.oneof(
    anyDouble(),
    anyInt32(),
    fc.constantFrom(undefined, null, "text", {}, [], true),
    fc.constantFrom(new Int32Array(3), new Float64Array(2), new Float32Array(30), new Int32Array()),
  );
  const outcomes = { end: 0, error: 0, batches: 0, thrown: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.keys(goodSpec()).filter((key) => key !== "prefetch")),
      fc.option(
        fc.tuple(
          fc.nat({ max: 2 }),
          fc.constantFrom("source", "bag", "size", "longest", "values", "offsets"),
        ),
      ),
      wrong,
      async (key, place, value) => {
        const spec = goodSpec() as unknown as Record<string, unknown>;
        if (place) {
          const features = [...goodSpec().features] as unknown as Record<string, unknown>[];
          features[place[0]] = { ...features[place[0]], [place[1]]: value };
          spec.features = features;
        } else spec[key] = value;
        // What is merely large is right, and takes memory.
        const isLarge = (n: unknown): boolean => Number(n) > 1e6 && Number(n) < 1e9;
        if (isLarge(spec.batchSize) || isLarge(spec.length)) return;
        try {
          outcomes[await read(spec as unknown as NativeLoaderSpec)]++;
        } catch {
          outcomes.thrown++;
        }
      },
    ),
    { numRuns: 1000 },
  );
  t.log(outcomes);
  t.is(await read(goodSpec()), "end");
});

test.serial("calls for loaders that are not there", async (t) => {
  for (const id of [0, -1, 1e9, NaN, 2 ** 40]) {
    t.is(typeof (await native.loaderNext(id)), "string");
    native.loaderRecycle(id, 0);
    native.loaderClose(id);
  }
  const id = native.loaderCreate(goodSpec()) as number;
  const pending = native.loaderNext(id);
  t.is(typeof native.loaderNext(id), "string");
  native.loaderClose(id);
  t.is(await pending, undefined);
});
