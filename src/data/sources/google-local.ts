import { ConfigError } from "../../errors.js";
import { googleLocalData } from "../credits.js";
import { openJsonLines } from "../formats/json-lines.js";
import type { Source } from "../source.js";
import { Folder } from "./folder.js";
import { tableOfFiles } from "./table-of-files.js";

/** Files by name, in place of a folder. */
export interface GoogleLocalFiles {
  reviews: string | readonly string[];
  /** Without it places have neither name nor category. */
  metadata?: string | readonly string[] | undefined;
}

const reviewFiles = /^review-(.+?)(?:_\d+)?\.json$/;
const metadataFiles = /^meta-(.+)\.json$/;

/**
 * Google Local Data of 2021: a folder with `review-<state>.json` (or the 10-core, `review-<state>_10.json`) and
 * `meta-<state>.json` of one or more states, in gzip or not, or the files by name. All reviews of a folder become one set
 * of histories.
 *
 * Events are reviews, with `rating` (ordinal) and `review` (text). Items are the places that have reviews, with
 * `category` (bag).
 *
 * @throws DataError when the folder has no such files, or lacks some
 * @see https://mcauleylab.ucsd.edu/public_datasets/gdrive/googlelocal
 */
export async function googleLocal(input: string | GoogleLocalFiles): Promise<Source> {
  const { reviews, metadata } =
    typeof input === "string" ? await findFiles(input) : namedFiles(input);
  return {
    name: "google-local",
    title: "Google Local Data (2021)",
    ...googleLocalData,
    catalogue: "seen",
    events: tableOfFiles(
      reviews,
      {
        user: "user_id",
        item: "gmap_id",
        time: { column: "time", unit: "milliseconds" },
        features: {
          rating: { kind: "ordinal", column: "rating", min: 1, max: 5 },
          review: { kind: "text", column: "text" },
        },
      },
      (path, options) => openJsonLines(path, {}, options),
    ),
    items:
      metadata.length === 0
        ? undefined
        : tableOfFiles(
            metadata,
            {
              id: "gmap_id",
              title: "name",
              features: { category: { kind: "bag", column: "category" } },
            },
            (path, options) => openJsonLines(path, {}, options),
          ),
  };
}

async function findFiles(path: string) {
  const folder = await Folder.open(path);
  const reviews = folder.match(reviewFiles);
  if (reviews.length === 0) {
    throw folder.lacks("review-<state>.json and meta-<state>.json (each may end in .gz)");
  }
  return folder.pair(reviews, folder.match(metadataFiles), "meta-");
}

function namedFiles({ reviews, metadata = [] }: GoogleLocalFiles) {
  const files = { reviews: [reviews].flat(), metadata: [metadata].flat() };
  if (files.reviews.length === 0) throw new ConfigError("google-local: no file of reviews");
  return files;
}
