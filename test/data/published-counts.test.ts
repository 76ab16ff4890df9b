/** What is known of real data. */
import { join } from "node:path";
import {
  amazon,
  googleLocal,
  type Manifest,
  movielens,
  PreparedData,
  prepare,
  type Source,
} from "../../src/data/index.js";
import { freshFolder } from "./prepared/prepared-folder.js";
import { reconstructed1m, testReal } from "./real-data.js";

interface Expected extends Partial<Manifest["counts"]> {
  readonly events: number;
  /** Values of features. */
  readonly values: Readonly<Record<string, number>>;
  /** Users with more than 50 events. */
  readonly histories50?: number;
}

function counts(
  name: string,
  folder: string,
  source: (folder: string) => Source | Promise<Source>,
  { values, histories50, ...expected }: Expected,
): void {
  testReal(`${name} has its counts`, folder, async (t, path) => {
    const out = join(await freshFolder(t), "data");
    const manifest = await prepare(await source(path), { out });
    t.like(manifest.counts, expected);
    t.deepEqual(
      Object.fromEntries(manifest.features.map(({ name, size }) => [name, size])),
      values,
    );
    t.deepEqual(manifest.dropped, []);
    using data = await PreparedData.open(out);
    t.is(data.events, expected.events);
    const lengths = Array.from(
      data.userOffsets.subarray(1),
      (end, user) => end - data.userOffsets[user]!,
    );
    if (histories50 !== undefined)
      t.is(lengths.filter((length) => length > 50).length, histories50);
  });
}

counts("MovieLens latest-small", "ml-latest-small", movielens, {
  events: 100_836,
  users: 610,
  items: 9_742,
  itemsWithoutEvents: 18,
  itemsWithoutMetadata: 0,
  values: { rating: 10, genres: 19 },
  histories50: 378,
});

counts("ML-1M (reconstructed), ratings", "ml-1m-reconstructed", movielens, {
  events: 901_255,
  users: 5_790,
  items: 3_883,
  itemsWithoutMetadata: 0,
  values: { rating: 5, genres: 18 },
});

counts(
  "ML-1M (reconstructed), interactions by position with movies.dat",
  "ml-1m-reconstructed",
  (folder) => reconstructed1m(folder, "seen"),
  {
    events: 999_610,
    users: 6_040,
    items: 3_416,
    itemsWithoutMetadata: 0,
    values: { genres: 18 },
    histories50: 4_244,
  },
);

counts("Amazon Reviews 2014, digital music (a part)", "amazon-2014-digital-music-part", amazon, {
  events: 6_908,
  users: 2_490,
  items: 382,
  itemsWithoutMetadata: 0,
  values: { rating: 5, summary: 0, review: 0, category: 181 },
  histories50: 3,
});

counts("Amazon Reviews 2018, gift cards", "amazon-2018-gift-cards", amazon, {
  events: 2_972,
  users: 458,
  items: 148,
  itemsWithoutMetadata: 0,
  values: { rating: 5, summary: 0, review: 0, category: 1 },
  histories50: 0,
});

counts("Google Local 2021, Hawaii and Mississippi", "google-local-2021-hi-ms", googleLocal, {
  events: 75_578,
  users: 44_077,
  items: 598,
  itemsWithoutMetadata: 0,
  values: { rating: 5, review: 0, category: 271 },
  histories50: 0,
});
