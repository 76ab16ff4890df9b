import test from "ava";
import fc from "fast-check";
import {
  add,
  countFrom,
  distributionOf,
  giniOf,
  shareOfLargest,
} from "../../../src/data/inspect/distribution.js";
import { type DataInfo, info } from "../../../src/data/inspect/info.js";
import { PreparedData } from "../../../src/data/prepared/prepared-data.js";
import { type FolderContent, preparedFolder } from "../prepared/prepared-folder.js";

const describe = async (
  t: Parameters<typeof preparedFolder>[0],
  content: FolderContent,
): Promise<DataInfo> => {
  using data = await PreparedData.open(await preparedFolder(t, content));
  return await info(data, { windowLength: 3 });
};

test("tallies are described as their numbers are", (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 30 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (numbers, share) => {
        const tally = new Map<number, number>();
        for (const number of numbers) add(tally, number);
        const sorted = [...numbers].sort((a, b) => a - b);
        const count = numbers.length;
        const sum = numbers.reduce((a, b) => a + b);
        t.deepEqual(distributionOf(tally), {
          min: sorted[0]!,
          median: sorted[Math.ceil(count / 2) - 1]!,
          mean: sum / count,
          p90: sorted[Math.ceil(0.9 * count) - 1]!,
          max: sorted.at(-1)!,
        });
        const largest = sorted.slice(count - Math.ceil(share * count)).reduce((a, b) => a + b);
        t.is(shareOfLargest(tally, share), largest / sum);
        t.is(countFrom(tally, 7), numbers.filter((number) => number >= 7).length);
        // By definition: the mean difference of all pairs, over twice the mean.
        const differences = numbers.flatMap((a) => numbers.map((b) => Math.abs(a - b)));
        const gini = differences.reduce((a, b) => a + b) / (2 * count * sum);
        t.true(Math.abs(giniOf(tally) - gini) < 1e-12);
      },
    ),
  );
  t.is(distributionOf(new Map()), null);
  t.is(giniOf(new Map()), 0);
  t.is(shareOfLargest(new Map(), 0.1), 0);
});

test("counts what a small data set has", async (t) => {
  const found = await describe(t, {
    histories: [
      [0, 1, 0, 0, 2],
      [1, 1],
      [3, 0, 2, 1],
    ],
    times: [
      [1000, 2000, 2000, 3000, 4000],
      [5000, 5000],
      [1, 2, 3, 4],
    ],
    titles: ["Alien", "Aliens", "alien ", "Alien", undefined],
    features: [
      {
        name: "rating",
        kind: "ordinal",
        of: "event",
        values: [1, 2, 3],
        rows: [0, 2, 2, -1, 1, 2, 2, 1, 1, 0, 2],
      },
      {
        name: "genres",
        kind: "bag",
        of: "item",
        values: ["a", "b"],
        rows: [[0, 1], [1], [], [0], [0]],
      },
    ],
  });
  t.is(found.density, 8 / (3 * 5));
  t.deepEqual(found.histories.lengths, { min: 2, median: 4, mean: 11 / 3, p90: 5, max: 5 });
  t.like(found.histories.usersWithAtLeast, { 2: 3, 3: 2, 5: 1, 11: 0 });
  t.deepEqual(found.repeats, { events: 3, users: 2 });
  t.deepEqual(found.popularity.eventsPerItem, { min: 1, median: 2, mean: 2.75, p90: 4, max: 4 });
  t.is(found.popularity.top10Percent, 4 / 11);
  t.like(found.clock, {
    from: "1970-01-01T00:00:00.001Z",
    to: "1970-01-01T00:00:05.000Z",
    tiedEvents: 4,
    usersWithTiedLast: 1,
    usersWithTiedLastShare: 1 / 3,
  });
  // "Alien" begins "Aliens" and "alien " begins none; "Alien" and "alien " differ in case and space only.
  t.deepEqual(found.titles, { missing: 1, shared: 1, itemsSharing: 2, alike: 2, prefixes: 1 });
  const [rating, genres] = found.features;
  t.deepEqual(rating?.top, [
    { value: 3, events: 5 },
    { value: 2, events: 3 },
    { value: 1, events: 2 },
  ]);
  t.is(rating?.missingShare, 1 / 11);
  t.deepEqual(genres?.top, [
    { value: "b", events: 8 },
    { value: "a", events: 5 },
  ]);
  t.deepEqual(found.windows, {
    length: 3,
    full: { train: 1, test: 2 },
    padded: { train: 5, test: 2 },
  });
  t.is(
    found.disk.bytes,
    Object.values(found.disk.files).reduce((a, b) => a + b),
  );
  t.deepEqual(JSON.parse(JSON.stringify(found)), found);
});

test("tells scripts, emoji and lost bytes apart", async (t) => {
  const texts = [
    "Good café",
    "好吃 good",
    "맛있다",
    "すし スシ",
    "Очень 🎬🎬",
    "caf\uFFFD \uFFFD",
    "",
  ];
  const found = await describe(t, {
    histories: [[0, 0, 0, 0, 0, 0, 0]],
    features: [{ name: "review", kind: "text", of: "event", rows: texts }],
  });
  const [{ text } = { text: null }] = found.features;
  t.like(text, {
    texts: 6,
    sampled: 7,
    emoji: 2,
    replacementCharacters: 2,
    textsWithReplacementCharacters: 1,
    scripts: { Latin: 8 + 4 + 3, Cyrillic: 5, Hangul: 3, Han: 2, Hiragana: 2, Katakana: 2 },
  });
  t.deepEqual(Object.keys(text?.scripts ?? {}).slice(0, 3), ["Latin", "Cyrillic", "Hangul"]);
  t.like(text?.lengths, { min: 3, max: 9 });
});

test("the prefixes of titles are those of a naive search", async (t) => {
  const title = fc.string({
    unit: fc.constantFrom("a", "b", "é", "🎬"),
    minLength: 1,
    maxLength: 5,
  });
  await fc.assert(
    fc.asyncProperty(fc.array(title, { maxLength: 12 }), async (titles) => {
      const found = await describe(t, { histories: [], titles });
      const distinct = [...new Set(titles)];
      const isPrefix = (title: string): boolean =>
        distinct.some((other) => other !== title && other.startsWith(title));
      t.is(found.titles.prefixes, distinct.filter(isPrefix).length);
    }),
    { numRuns: 40 },
  );
});

test("data without events is described", async (t) => {
  const found = await describe(t, { histories: [], titles: [] });
  t.is(found.histories.lengths, null);
  t.is(found.popularity.eventsPerItem, null);
  t.like(found, { density: 0, windows: { full: { train: 0, test: 0 } } });
});

test("progress is told and a signal stops it", async (t) => {
  const folder = await preparedFolder(t, { histories: [[0, 1, 2]] });
  using data = await PreparedData.open(folder);
  const tasks = new Set<string>();
  await info(data, { onProgress: ({ task }) => tasks.add(task) });
  t.deepEqual([...tasks], ["counting repeated items", "comparing titles", "looking at titles"]);
  const reason = new Error("enough");
  t.is(await t.throwsAsync(info(data, { signal: AbortSignal.abort(reason) })), reason);
});
