import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import fc from "fast-check";
import { Loader, type LoaderState } from "../../../src/data/loader/loader.js";
import type { LoaderOptions } from "../../../src/data/loader/loader-options.js";
import { DataError, UsageError } from "../../../src/errors.js";
import { memory, type Tensor } from "../../../src/tensor/index.js";
import {
  InventedData,
  inventedData,
  type NaiveOptions,
  naiveEpoch,
  type PlainBatch,
  plain,
} from "./loader-data.js";

let before: number;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => {
  t.is(memory().tensors, before, "no tensor is left");
});

const options = (): fc.Arbitrary<
  NaiveOptions & { length: number; least: number; stride: number }
> =>
  fc.record({
    batchSize: fc.integer({ min: 1, max: 9 }),
    layout: fc.constantFrom("padded", "ragged"),
    targets: fc.boolean(),
    shuffle: fc.boolean(),
    seed: fc.maxSafeNat(),
    rank: fc.constant(0),
    world: fc.constant(1),
    dropLast: fc.constant(false),
    length: fc.integer({ min: 1, max: 15 }),
    least: fc.integer({ min: 1, max: 4 }),
    stride: fc.integer({ min: 1, max: 3 }),
  });

async function all(loader: Loader): Promise<PlainBatch[]> {
  const batches: PlainBatch[] = [];
  for await (const batch of loader) batches.push(await plain(batch));
  return batches;
}

const someData = (): InventedData => new InventedData([5, 0, 9, 1, 12, 7, 3, 30], 4);

test.serial("batches are those of the definition", async (t) => {
  await fc.assert(
    fc.asyncProperty(inventedData(), options(), async (data, given) => {
      const { length, least, stride, ...settings } = given;
      const windows = data.windows(length, least, stride);
      const loader = new Loader(data, windows, settings);
      for (const epoch of [0, 1]) {
        const expected = naiveEpoch(data, windows, epoch, settings);
        t.deepEqual(await all(loader), expected);
        t.is(loader.batches, expected.length);
      }
    }),
    { numRuns: 150 },
  );
});

test.serial("ranks partition each epoch", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      inventedData(),
      options(),
      fc.integer({ min: 1, max: 5 }),
      fc.boolean(),
      async (data, { length, least, stride, ...settings }, world, dropLast) => {
        const windows = data.windows(length, least, stride);
        if (dropLast && windows.count < world * settings.batchSize) return;
        const targets: number[] = [];
        const counts = new Set<number>();
        for (let rank = 0; rank < world; rank++) {
          const its = { ...settings, rank, world, dropLast };
          const loader = new Loader(data, windows, its);
          const batches = await all(loader);
          t.deepEqual(batches, naiveEpoch(data, windows, 0, its));
          t.is(batches.length, loader.batches);
          counts.add(batches.length);
          targets.push(...batches.flatMap(({ targetRows }) => targetRows));
        }
        t.is(new Set(targets).size, targets.length);
        if (dropLast) t.is(counts.size, 1);
        else t.is(targets.length, windows.count);
      },
    ),
    { numRuns: 60 },
  );
});

test.serial("resuming anywhere gives the rest of an uninterrupted pass", async (t) => {
  const data = someData();
  const windows = data.windows(6, 2);
  for (const shuffle of [true, false]) {
    const settings: LoaderOptions = {
      batchSize: 5,
      shuffle,
      seed: 7,
      epochs: 3,
      rank: 1,
      world: 2,
    };
    const whole = new Loader(data, windows, settings);
    const batches: PlainBatch[] = [];
    const states: LoaderState[] = [whole.state()];
    for await (const batch of whole) {
      batches.push(await plain(batch));
      states.push(whole.state());
    }
    t.is(batches.length, 3 * whole.batches);
    t.like(states.at(-1), { epoch: 3, position: 0 });
    for (const [i, state] of states.slice(0, -1).entries()) {
      const resumed = new Loader(data, windows, settings);
      resumed.load(JSON.parse(JSON.stringify(state)) as LoaderState);
      t.deepEqual(await all(resumed), batches.slice(i));
    }
  }
});

test.serial("a loop goes on where the one before stopped", async (t) => {
  const data = someData();
  const windows = data.windows(6, 2);
  const settings = { batchSize: 4, shuffle: true, epochs: 2 };
  const expected = await all(new Loader(data, windows, settings));
  const loader = new Loader(data, windows, settings);
  const batches: PlainBatch[] = [];
  while (batches.length < expected.length)
    for await (const batch of loader) {
      batches.push(await plain(batch));
      if (batches.length % 3 === 0) break;
    }
  t.deepEqual(batches, expected);
});

test.serial("epochs differ, seeds differ, and endless loops go on", async (t) => {
  const data = someData();
  const windows = data.windows(6, 2);
  const order = async (settings: Partial<LoaderOptions>, batches: number): Promise<number[]> => {
    const rows: number[] = [];
    const loader = new Loader(data, windows, { batchSize: 1, shuffle: true, ...settings });
    for await (const batch of loader) {
      rows.push(...batch.targetRows);
      if (rows.length === batches) break;
    }
    return rows;
  };
  const { count } = windows;
  const endless = await order({ epochs: Infinity }, 3 * count);
  const epochs = [0, 1, 2].map((epoch) => endless.slice(epoch * count, (epoch + 1) * count));
  t.notDeepEqual(epochs[0], epochs[1]);
  t.notDeepEqual(epochs[1], epochs[2]);
  const sorted = (rows: number[]): number[] => rows.toSorted((a, b) => a - b);
  for (const epoch of epochs) t.deepEqual(sorted(epoch), sorted(epochs[0]!));
  t.deepEqual(await order({}, count), epochs[0]!);
  t.notDeepEqual(await order({ seed: 1 }, count), epochs[0]!);
});

test.serial("a state of other windows, seeds or worlds is refused", async (t) => {
  const data = someData();
  const windows = data.windows(6, 2);
  const settings = { batchSize: 4, shuffle: true, seed: 3, world: 2 };
  const state = new Loader(data, windows, settings).state();
  const load = (loader: Loader): void => loader.load(state);
  load(new Loader(data, windows, { ...settings, rank: 1, batchSize: 7, layout: "ragged" }));
  for (const other of [
    new Loader(data, windows, { ...settings, seed: 4 }),
    new Loader(data, windows, { ...settings, world: 3 }),
    new Loader(data, windows, { ...settings, shuffle: false }),
    new Loader(data, data.windows(6, 3), settings),
    new Loader(data, data.windows(7, 2), settings),
    new Loader(new InventedData([4]), new InventedData([4]).windows(6, 2), settings),
  ])
    t.throws(() => load(other), { instanceOf: UsageError, message: /of other data or windows/ });
  t.throws(() => new Loader(data, windows, settings).load({ ...state, position: -1 }), {
    instanceOf: UsageError,
    message: /position must be a whole number/,
  });
});

test.serial("no windows are no batches", async (t) => {
  const data = new InventedData([1, 0, 1]);
  const windows = data.windows(5);
  t.deepEqual(await all(new Loader(data, windows, { batchSize: 4 })), []);
  t.deepEqual(await all(new Loader(data, windows, { batchSize: 4, rank: 2, world: 3 })), []);
  for (const settings of [{ epochs: Infinity }, { dropLast: true }])
    t.throws(() => new Loader(data, windows, { batchSize: 4, ...settings }), {
      instanceOf: UsageError,
      message: "Loader: 0 windows for 1 ranks fill no batch of 4",
    });
});

test.serial("only the chosen features are loaded", async (t) => {
  const data = someData();
  const loader = new Loader(data, data.windows(6), {
    batchSize: 8,
    features: ["genres", "rating"],
  });
  const [batch] = await all(loader);
  const [expected] = await all(new Loader(data, data.windows(6), { batchSize: 8 }));
  t.deepEqual(batch!.inputs, { rating: expected!.inputs.rating! });
  t.deepEqual(batch!.bags, { genres: expected!.bags.genres! });
  t.deepEqual(Object.keys(batch!.targets), ["genres", "rating"]);
});

test.serial("shapes", async (t) => {
  const data = someData();
  const windows = data.windows(6);
  for await (const { inputs, bags, targets, lengths, offsets } of new Loader(data, windows, {
    batchSize: 8,
  })) {
    const size = lengths!.shape[0]!;
    t.is(offsets, undefined);
    t.deepEqual(inputs.brand!.shape, [size, 6]);
    t.deepEqual(bags.tags!.offsets.shape, [size * 6 + 1]);
    t.deepEqual(targets.item!.shape, [size, 6]);
    t.deepEqual(targets.tags!.shape, [size, 6, 3]);
  }
  for await (const { inputs, targets, lengths, offsets, extents, size } of new Loader(
    data,
    windows,
    { batchSize: 8, layout: "ragged" },
  )) {
    t.is(lengths, undefined);
    t.deepEqual(offsets!.shape, [size + 1]);
    t.deepEqual(inputs.item!.shape, [extents[size]!]);
    t.deepEqual(targets.genres!.shape, [extents[size]!, 4]);
  }
});

test.serial("tensors live until the next batch, unless they are kept", async (t) => {
  const data = someData();
  const seen: Tensor[] = [];
  const kept: Tensor[] = [];
  for await (const batch of new Loader(data, data.windows(6), { batchSize: 8 })) {
    t.true(seen.every(({ disposed }) => disposed));
    const tensors = [batch.lengths!, ...Object.values(batch.inputs), batch.bags.tags!.ids];
    t.false(tensors.some(({ disposed }) => disposed));
    if (kept.length === 0) {
      batch.keep();
      kept.push(
        batch.lengths!,
        ...Object.values(batch.inputs),
        ...Object.values(batch.bags).flatMap(({ ids, offsets }) => [ids, offsets]),
        ...Object.values(batch.targets),
      );
    } else seen.push(...tensors);
  }
  t.true(seen.every(({ disposed }) => disposed));
  t.false(kept.some(({ disposed }) => disposed));
  for (const tensor of kept) tensor.dispose();
});

test.serial("leaving a loop by break, return or an error disposes", async (t) => {
  const data = someData();
  const loader = new Loader(data, data.windows(6), { batchSize: 2 });
  for await (const _ of loader) break;
  const first = async (): Promise<number> => {
    for await (const { size } of loader) return size;
    return 0;
  };
  t.is(await first(), 2);
  await t.throwsAsync(async () => {
    for await (const _ of loader) throw new Error("no reason");
  });
  t.like(loader.state(), { epoch: 0, position: 6 });
});

test.serial("an abort ends the loop with its reason", async (t) => {
  const data = someData();
  const controller = new AbortController();
  const loader = new Loader(data, data.windows(6), {
    batchSize: 1,
    epochs: Infinity,
    signal: controller.signal,
  });
  let batches = 0;
  await t.throwsAsync(
    async () => {
      for await (const _ of loader) if (++batches === 5) controller.abort(new Error("enough"));
    },
    { message: "enough" },
  );
  t.is(batches, 5);
  await t.throwsAsync(() => all(loader), { message: "enough" });

  const late = new AbortController();
  const iterator = new Loader(data, data.windows(6), { batchSize: 1, signal: late.signal })[
    Symbol.asyncIterator
  ]();
  const pending = iterator.next();
  late.abort(new Error("at once"));
  await t.throwsAsync(() => pending, { message: "at once" });
});

test.serial("a second loop ends the first", async (t) => {
  const data = someData();
  const loader = new Loader(data, data.windows(6), { batchSize: 4 });
  const first = loader[Symbol.asyncIterator]();
  await first.next();
  const second = loader[Symbol.asyncIterator]();
  await second.next();
  await t.throwsAsync(() => first.next(), { instanceOf: UsageError, message: /took over/ });
  t.like(loader.state(), { position: 8 });
  await second.return();
});

test.serial("loading a state ends a loop, and stands", async (t) => {
  const data = someData();
  const loader = new Loader(data, data.windows(6), { batchSize: 4 });
  const begin = loader.state();
  const loop = loader[Symbol.asyncIterator]();
  await loop.next();
  const pending = loop.next();
  loader.load(begin);
  await t.throwsAsync(() => pending, { instanceOf: UsageError, message: /load\(\) took over/ });
  t.deepEqual(loader.state(), begin);
  t.is((await all(loader)).length, loader.batches);
});

test.serial("many loaders at once", async (t) => {
  const data = someData();
  const windows = data.windows(6);
  const loaders = Array.from({ length: 30 }, (_, seed) => ({
    ...{ batchSize: 3, layout: "ragged", targets: true, shuffle: true, seed, rank: 0, world: 1 },
    dropLast: false,
  })) as NaiveOptions[];
  const batches = await Promise.all(loaders.map((its) => all(new Loader(data, windows, its))));
  for (const [i, its] of loaders.entries())
    t.deepEqual(batches[i], naiveEpoch(data, windows, 0, its));
});

test.serial("timers run while batches are taken", async (t) => {
  const data = someData();
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const until = Date.now() + 200;
  const loader = new Loader(data, data.windows(6), { batchSize: 4, epochs: Infinity });
  for await (const _ of loader) if (Date.now() > until) break;
  clearInterval(timer);
  t.true(ticks > 20, `${ticks} ticks`);
});

test.serial("data that changes or goes after a loop began is nobody's harm", async (t) => {
  const data = someData();
  const windows = data.windows(6);
  const settings = { batchSize: 4, prefetch: 1 };
  const expected = await all(new Loader(data, windows, settings));
  const transferred = data.bags.genres.values.buffer as ArrayBuffer;
  const batches: PlainBatch[] = [];
  for await (const batch of new Loader(data, windows, settings)) {
    batches.push(await plain(batch));
    data.columns.item.fill(1 << 30);
    if (batches.length === 1) structuredClone(null, { transfer: [transferred] });
    await sleep(1);
    if (batches.length === 2) break;
  }
  t.is(transferred.byteLength, 0);
  t.deepEqual(batches, expected.slice(0, 2));
});

type Corrupt = (data: InventedData) => void;
for (const [name, message, corrupt] of [
  [
    "an item",
    'Loader: events.arrow, row 7, column "item": expected 0 ... 22, got 23',
    ({ columns }) => columns.item.fill(23, 7, 8),
  ],
  [
    "a missing item",
    'Loader: events.arrow, row 7, column "item": expected 0 ... 22, got -1',
    ({ columns }) => columns.item.fill(-1, 7, 8),
  ],
  [
    "a far item",
    'Loader: events.arrow, row 9, column "item": expected 0 ... 22, got -2147483648',
    ({ columns }) => columns.item.fill(-(2 ** 31), 9, 10),
  ],
  [
    "a value of an event",
    'Loader: events.arrow, row 8, column "rating": expected -1 ... 4, got -2',
    ({ columns }) => columns.rating.fill(-2, 8, 9),
  ],
  [
    "a value of an item",
    `Loader: items.arrow, row 4, column "brand": expected -1 ... 6, got 2147483647`,
    ({ columns }) => {
      columns.item.fill(4, 8, 9);
      columns.brand.fill(2 ** 31 - 1, 4, 5);
    },
  ],
  [
    "a value of a bag",
    'Loader: events.arrow, row 8, column "tags": expected 0 ... 10, got 11',
    ({ bags: { tags } }) => {
      tags.offsets.fill(tags.offsets[8]!, 9);
      tags.offsets.fill(tags.offsets[8]! + 1, 9);
      tags.values[tags.offsets[8]!] = 11;
    },
  ],
  [
    "offsets that fall",
    /^Loader: events\.arrow, row 8, column "tags": expected a bag of 0 \.\.\. 3 of \d+ values, got \d+ \.\.\. 0$/,
    ({ bags: { tags } }) => tags.offsets.fill(0, 9, 10),
  ],
  [
    "offsets beyond the values",
    /^Loader: events\.arrow, row \d, column "tags": expected a bag of 0 \.\.\. 3 of \d+ values, got 1\d+ \.\.\. 1\d+$/,
    ({ bags: { tags } }) => {
      for (let i = 0; i < tags.offsets.length; i++) tags.offsets[i]! += 100_000;
    },
  ],
  [
    "negative offsets",
    /^Loader: events\.arrow, row \d, column "tags": expected a bag of .* got -3 \.\.\. -2$/,
    ({ bags: { tags } }) => {
      for (let i = 0; i < tags.offsets.length; i++) tags.offsets[i] = i - 3;
    },
  ],
  [
    "a column that is too short",
    /^Loader: column "rating": \d+ values for \d+ events$/,
    (data) => {
      data.columns.rating = data.columns.rating.slice(1);
    },
  ],
  [
    "a bag of other items",
    'Loader: column "genres": 23 values for 24 items',
    (data) => {
      data.bags.genres.offsets = data.bags.genres.offsets.slice(1);
    },
  ],
  [
    "starts beyond the events",
    "Loader: windows: those of user 3 do not lie in the user's rows",
    (data) => {
      data.starts[4] = 1e9;
    },
  ],
  [
    "starts that are no numbers",
    "Loader: windows: those of user 1 do not lie in the user's rows",
    (data) => {
      data.starts[2] = NaN;
    },
  ],
] as [string, string | RegExp, Corrupt][])
  test.serial(`${name} that cannot be is an error with its place`, async (t) => {
    const data = new InventedData([14, 3, 9, 4]);
    const windows = data.windows(6);
    corrupt(data);
    for (const layout of ["padded", "ragged"] as const)
      await t.throwsAsync(() => all(new Loader(data, windows, { batchSize: 30, layout })), {
        instanceOf: DataError,
        message,
      });
  });

test.serial("batches before a corrupted value are fine", async (t) => {
  const data = new InventedData([14, 3, 9, 4]);
  data.columns.rating[12] = 99;
  const loader = new Loader(data, data.windows(3), { batchSize: 3 });
  const rows: number[] = [];
  await t.throwsAsync(
    async () => {
      for await (const batch of loader) rows.push(...batch.targetRows);
    },
    { instanceOf: DataError, message: /row 12, column "rating"/ },
  );
  t.deepEqual(rows, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test.serial("wrong options are named", (t) => {
  const data = someData();
  const windows = data.windows(6);
  for (const [settings, message] of [
    [{ batchSize: 0 }, "Loader: batchSize must be a whole number, at least 1, got 0"],
    [{ seed: 1.5 }, "Loader: seed must be a whole number, at least 0, got 1.5"],
    [{ rank: 2, world: 2 }, "Loader: rank must be a whole number, 0 to 1, got 2"],
    [{ prefetch: 65 }, "Loader: prefetch must be a whole number, 1 to 64, got 65"],
    [{ epochs: 0 }, "Loader: epochs must be a whole number, at least 1, got 0"],
    [{ layout: "dense" }, 'Loader: layout must be "padded" or "ragged", got "dense"'],
    [{ shufle: true }, "Loader: shufle is not an option"],
    [
      { features: ["item", "review"] },
      'Loader: no feature "review" to load; there are item, rating, tags, brand, genres',
    ],
  ] as [Partial<LoaderOptions>, string][])
    t.throws(() => new Loader(data, windows, { batchSize: 1, ...settings }), {
      instanceOf: UsageError,
      message,
    });
});

test.serial("a batch that cannot be addressed is refused", async (t) => {
  const data = someData();
  const loader = new Loader(data, data.windows(6), { batchSize: 200_000_000 });
  await t.throwsAsync(() => all(loader), { instanceOf: DataError, message: /make it smaller/ });
});
