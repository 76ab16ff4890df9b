import { appendFileSync, cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { collect } from "../../../src/data/collect/collect.js";
import { movielens } from "../../../src/data/sources/movielens.js";
import { DataError, RowError } from "../../../src/errors.js";
import { eventsOf, plainly } from "../collect/in-memory.js";
import { compress, copyOf, fixture, temporaryFolder } from "./raw-files.js";

test("reads the csv layout", async (t) => {
  const source = await movielens(fixture("movielens-csv"));
  t.is(source.title, "MovieLens (csv layout)");
  const collected = await collect(source, plainly());
  t.deepEqual(eventsOf(collected), [
    { user: "7", item: "10", time: 1_000_000_100_000, rating: 4 },
    { user: "7", item: "20", time: 1_000_000_000_000, rating: 3.5 },
    { user: "7", item: "30", time: 1_000_000_200_000, rating: 0.5 },
    { user: "3", item: "40", time: 1_000_000_300_000, rating: 5 },
    { user: "3", item: "10", time: 1_000_000_300_000, rating: 4 },
    { user: "3", item: "60", time: 1_000_000_300_000, rating: 2.5 },
    { user: "12", item: "99", time: 1_000_000_050_000, rating: 3.5 },
    { user: "12", item: "20", time: 999_999_999_000, rating: 4 },
  ]);
  const { items, vocabularies, features } = collected;
  t.deepEqual(items.ids, ["10", "20", "30", "40", "50", "60", "99"]);
  t.deepEqual(items.titles, [
    "Lantern Street (1987)",
    "Harbour at Noon, The (1994)",
    'She Said "Maybe" (2003)',
    "Été sans fin (1971)",
    "Nobody Rated This (2010)",
    "Two Suns: A Fable",
    undefined,
  ]);
  t.deepEqual([items.withoutMetadata, items.repeated], [1, 1]);
  t.deepEqual(items.columns, [
    {
      feature: "genres",
      kind: "bag",
      offsets: Int32Array.of(0, 2, 3, 3, 5, 6, 8, 8),
      values: Int32Array.of(0, 1, 1, 1, 2, 3, 0, 4),
    },
  ]);
  t.deepEqual(vocabularies, [
    {
      feature: "rating",
      values: Float64Array.of(0.5, 2.5, 3.5, 4, 5),
      counts: Float64Array.of(1, 1, 2, 3, 1),
    },
    {
      feature: "genres",
      values: ["Comedy", "Drama", "Romance", "Western", "Sci-Fi"],
      counts: Float64Array.of(3, 5, 1, 0, 1),
    },
  ]);
  t.deepEqual(
    features.map(({ name, missing }) => [name, missing]),
    [
      ["rating", 0],
      ["genres", 2],
    ],
  );
  t.deepEqual(
    collected.files.map(({ name, bytes }) => [name, bytes]),
    ["movies.csv", "ratings.csv"].map((name) => [
      name,
      readFileSync(join(fixture("movielens-csv"), name)).length,
    ]),
  );
});

test("reads the dat layout, in Latin-1 as 1M is", async (t) => {
  const source = await movielens(fixture("movielens-dat"));
  const collected = await collect(source, plainly());
  t.deepEqual(eventsOf(collected)[1], { user: "1", item: "30", time: 978_300_000_000, rating: 3 });
  t.deepEqual(collected.items.titles, [
    "Lantern Street (1987)",
    "Harbour at Noon, The (1994)",
    "Été sans fin (1971)",
    '"Quoted" Only in Name (1999)',
  ]);
  t.deepEqual(collected.vocabularies[1]!.values, [
    "Comedy",
    "Drama",
    "Children's",
    "Romance",
    "Western",
  ]);
});

test("reads the dat layout in UTF-8 as 10M is, with halves of stars, and refuses other bytes", async (t) => {
  const folder = copyOf(t, "movielens-dat");
  const movies = readFileSync(join(folder, "movies.dat"), "latin1");
  writeFileSync(join(folder, "movies.dat"), movies, "utf8");
  appendFileSync(join(folder, "ratings.dat"), "2::10::0.5::978200000\n");
  const read = async () => collect(await movielens(folder), plainly());
  await t.throwsAsync(read(), {
    message: /line 5, column "rating": expected a number from 1 to 5/,
  });

  rmSync(join(folder, "users.dat"));
  writeFileSync(join(folder, "tags.dat"), "");
  const { items, vocabularies } = await read();
  t.is(items.titles[2], "Été sans fin (1971)");
  t.deepEqual(vocabularies[0]!.values, Float64Array.of(0.5, 1, 3, 4, 5));

  writeFileSync(join(folder, "movies.dat"), movies, "latin1");
  await t.throwsAsync(read(), { instanceOf: RowError, message: /movies.dat, line 3.*UTF-8/ });
});

for (const layout of ["movielens-csv", "movielens-dat"] as const) {
  test(`reads ${layout} in gzip as well`, async (t) => {
    const folder = copyOf(t, layout);
    compress(folder);
    const plain = await collect(await movielens(fixture(layout)), plainly());
    const zipped = await collect(await movielens(folder), plainly());
    t.deepEqual(eventsOf(zipped), eventsOf(plain));
    t.deepEqual(zipped.items, plain.items);
    t.deepEqual(
      zipped.files.map(({ name }) => name),
      plain.files.map(({ name }) => `${name}.gz`),
    );
  });
}

test("names the releases by their folders", async (t) => {
  const folder = join(temporaryFolder(t), "ml-20m");
  cpSync(fixture("movielens-csv"), folder, { recursive: true });
  t.is((await movielens(folder)).title, "MovieLens 20M");
  t.is((await movielens(`${folder}/`)).title, "MovieLens 20M");
  t.is((await movielens(fixture("movielens-dat"))).title, "MovieLens (dat layout)");
});

test("says what was looked for, and what is there", async (t) => {
  const folder = temporaryFolder(t);
  const expected =
    "expected ratings.csv and movies.csv, or ratings.dat and movies.dat (each may end in .gz)";
  const attempt = async (message: string) =>
    t.throwsAsync(movielens(folder), { instanceOf: DataError, message });
  await attempt(`${folder}: ${expected}, got an empty folder`);
  writeFileSync(join(folder, "ml-20m.zip"), "");
  writeFileSync(join(folder, "ratings.csv"), "");
  await attempt(
    `${folder}: ${expected}, got ml-20m.zip, ratings.csv; if ml-20m.zip has them, unpack it`,
  );
  for (const name of ["movies.csv", "ratings.dat", "movies.dat"]) {
    writeFileSync(join(folder, name), "");
  }
  await attempt(`${folder}: has MovieLens in both layouts, csv and dat; give a folder with one`);

  const zip = join(folder, "ml-20m.zip");
  await t.throwsAsync(movielens(zip), {
    instanceOf: DataError,
    message: `${zip}: expected a folder, got a file; unpack it and give the folder`,
  });
  await t.throwsAsync(movielens(join(folder, "nowhere")), {
    instanceOf: DataError,
    message: /nowhere: cannot read: no such file or folder/,
  });
});
