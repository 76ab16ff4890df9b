/**
 * Real files: how many records they have and how much text is in them, as Python's `csv`, `json` and `ast.literal_eval`
 * count it.
 */
import { openDelimited } from "../../../src/data/formats/delimited.js";
import { openJsonLines } from "../../../src/data/formats/json-lines.js";
import type { RowReader } from "../../../src/data/formats/row.js";
import { testReal } from "../real-data.js";
import { strict } from "./drain.js";

/** The characters (UTF-16) of all texts in the columns, and the records. */
async function count(
  reader: RowReader,
  names: readonly (string | number)[],
): Promise<{ records: number; characters: number }> {
  const columns = names.map((name) => reader.column(name));
  let records = 0;
  let characters = 0;
  for await (const block of reader.rows()) {
    for (const row of block) {
      records++;
      for (const column of columns) characters += row.text(column)?.length ?? 0;
    }
  }
  await reader.close();
  return { records, characters };
}

function real(
  file: string,
  columns: readonly (string | number)[],
  open: (path: string) => Promise<RowReader>,
  expected: { records: number; characters: number },
): void {
  testReal(`${file} is read whole`, file, async (t, path) => {
    t.deepEqual(await count(await open(path), columns), expected);
  });
}

for (const [file, columns, records, characters] of [
  ["ratings", ["userId", "movieId", "rating", "timestamp"], 100_836, 1_979_510],
  ["movies", ["movieId", "title", "genres"], 9742, 450_863],
  ["tags", ["userId", "movieId", "tag", "timestamp"], 3683, 100_211],
  ["links", ["movieId", "imdbId", "tmdbId"], 9742, 158_988],
] as const) {
  const open = (path: string) => openDelimited(path, {}, strict);
  real(`ml-latest-small/${file}.csv`, columns, open, { records, characters });
}

for (const [file, columns, records, characters] of [
  ["movies.dat", [0, 1, 2], 3883, 151_893],
  ["ratings.dat.gz", [0, 1, 2, 3], 901_255, 15_822_552],
] as const) {
  const format = { separator: "::", header: false, encoding: "latin1" } as const;
  const open = (path: string) => openDelimited(path, format, strict);
  real(`ml-1m-reconstructed/${file}`, columns, open, { records, characters });
}

for (const [file, column, records, characters] of [
  ["amazon-2014-digital-music-part/reviews_Digital_Music_5.json.gz", "reviewText", 6908, 7_880_240],
  ["amazon-2018-gift-cards/Gift_Cards_5.json.gz", "reviewText", 2972, 200_108],
  ["google-local-2021-hi-ms/review-HI_MS.json.gz", "text", 75_578, 8_679_091],
] as const) {
  real(file, [column], (path) => openJsonLines(path, {}, strict), { records, characters });
}

real(
  "amazon-2014-digital-music-part/meta_Digital_Music.json.gz",
  ["description"],
  (path) => openJsonLines(path, { syntax: "python" }, strict),
  { records: 7419, characters: 2_470_947 },
);
