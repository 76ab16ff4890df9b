import { createReadStream } from "node:fs";
import { basename, resolve } from "node:path";
import { createGunzip } from "node:zlib";
import { DataError } from "../../errors.js";
import { type Credit, newerMovieLens, olderMovieLens } from "../credits.js";
import { type DelimitedFormat, openDelimited } from "../formats/delimited.js";
import type { Source } from "../source.js";
import { cardName, type Origin, readSyntheticOrigin } from "../synthetic/origin.js";
import { Folder } from "./folder.js";

const releases: Readonly<Record<string, string>> = {
  "ml-latest-small": "MovieLens latest-small",
  "ml-latest": "MovieLens latest",
  "ml-1m": "MovieLens 1M",
  "ml-10m": "MovieLens 10M",
  "ml-10M100K": "MovieLens 10M",
  "ml-20m": "MovieLens 20M",
  "ml-25m": "MovieLens 25M",
  "ml-32m": "MovieLens 32M",
};

/** What the two layouts of MovieLens differ in. */
interface Layout {
  readonly name: string;
  readonly ratings: string;
  readonly movies: string;
  readonly ratingsFormat: DelimitedFormat;
  readonly moviesFormat: DelimitedFormat;
  readonly credit: Credit;
}

/** 20M, 25M, 32M, latest and latest-small. */
const csv: Layout = {
  name: "csv",
  ratings: "ratings.csv",
  movies: "movies.csv",
  ratingsFormat: {},
  moviesFormat: {},
  credit: newerMovieLens,
};

/** 1M and 10M. */
const dat: Layout = {
  name: "dat",
  ratings: "ratings.dat",
  movies: "movies.dat",
  ratingsFormat: { separator: "::", header: ["userId", "movieId", "rating", "timestamp"] },
  moviesFormat: { separator: "::", header: ["movieId", "title", "genres"] },
  credit: olderMovieLens,
};

/**
 * A folder of MovieLens, as its zip unpacks: `ratings.csv` and `movies.csv` (20M, 25M, 32M, latest, latest-small), or
 * `ratings.dat` and `movies.dat` (1M, 10M), each as it is or in gzip.
 *
 * Events are ratings, with `rating` (ordinal). Items are all movies, rated or not, with `genres` (bag; none for
 * "(no genres listed)"); titles keep the year.
 *
 * What `writeSynthetic` made in this layout is read too, and says what it is.
 *
 * @throws DataError when the folder has neither layout, or both
 * @see https://grouplens.org/datasets/movielens
 */
export async function movielens(path: string): Promise<Source> {
  const folder = await Folder.open(path);
  const complete = [csv, dat].filter(
    ({ ratings, movies }) => folder.find(ratings) && folder.find(movies),
  );
  const [layout] = complete;
  if (layout === undefined) {
    throw folder.lacks(
      "ratings.csv and movies.csv, or ratings.dat and movies.dat (each may end in .gz)",
    );
  }
  if (complete.length > 1) {
    throw new DataError(
      `${path}: has MovieLens in both layouts, csv and dat; give a folder with one`,
    );
  }
  const ratings = folder.find(layout.ratings)!;
  const movies = folder.find(layout.movies)!;
  // users.dat came with 1M alone, whose stars are whole; tags with the others.
  const leastRating = layout === dat && folder.find("users.dat") !== undefined ? 1 : 0.5;
  const generated = folder.find(cardName);
  const origin: Origin =
    generated === undefined
      ? {
          name: "movielens",
          title: releases[basename(resolve(path))] ?? `MovieLens (${layout.name} layout)`,
          ...layout.credit,
        }
      : await readSyntheticOrigin(generated);
  return {
    ...origin,
    catalogue: "all",
    events: {
      open: (options) => openDelimited(ratings, layout.ratingsFormat, options),
      mapping: {
        user: "userId",
        item: "movieId",
        time: { column: "timestamp", unit: "seconds" },
        features: { rating: { kind: "ordinal", column: "rating", min: leastRating, max: 5 } },
      },
    },
    items: {
      open: async (options) => {
        const latin = layout === dat && !folder.find("tags.dat") && !(await isUtf8(movies));
        const encoding = latin ? "latin1" : "utf8";
        return openDelimited(movies, { ...layout.moviesFormat, encoding }, options);
      },
      mapping: {
        id: "movieId",
        title: "title",
        features: { genres: { kind: "bag", column: "genres", none: ["(no genres listed)"] } },
      },
    },
  };
}

/** 1M is in Latin-1; 10M, which has tags, and whatever others made of 1M, in UTF-8. */
async function isUtf8(path: string): Promise<boolean> {
  const file = createReadStream(path);
  const text = path.endsWith(".gz") ? file.pipe(createGunzip()) : file;
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for await (const chunk of text) decoder.decode(chunk, { stream: true });
    decoder.decode();
    return true;
  } catch (error) {
    // A file that cannot be read at all is for its reader to report.
    return !(error instanceof TypeError);
  } finally {
    file.destroy();
  }
}
