/** What is known of real data, where it is at hand: `shared/data` beside the project, or `$USER_LLM_SHARED/data`. */
import { existsSync, mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import type { Manifest, Source } from "../../src/data/index.js";
import {
  amazon,
  googleLocal,
  movielens,
  PreparedData,
  prepare,
  table,
} from "../../src/data/index.js";

const shared =
  process.env.USER_LLM_SHARED ?? fileURLToPath(new URL("../../../shared", import.meta.url));
const folderOf = (name: string) => join(shared, "data", name);

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
  const here = existsSync(folderOf(folder));
  (here ? test : test.skip)(
    `${name} has its counts${here ? "" : `: ${folderOf(folder)} is not here`}`,
    async (t) => {
      const temporary = mkdtempSync(join(tmpdir(), "user-llm-counts-"));
      t.teardown(() => rm(temporary, { recursive: true }));
      const out = join(temporary, "data");
      const manifest = await prepare(await source(folderOf(folder)), { out });
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
    },
  );
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
  (folder) =>
    table({
      events: {
        file: join(folder, "interactions.csv.gz"),
        user: "userId",
        item: "movieId",
        position: "position",
      },
      items: {
        file: join(folder, "movies.dat"),
        separator: "::",
        header: ["movieId", "title", "genres"],
        encoding: "latin1",
        id: "movieId",
        title: "title",
        features: { genres: "bag" },
      },
      catalogue: "seen",
    }),
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
