import { basename } from "node:path";
import { ConfigError, DataError } from "../../errors.js";
import { amazonReviews } from "../credits.js";
import { ByteSource } from "../formats/byte-source.js";
import { openJsonLines } from "../formats/json-lines.js";
import type { ReaderOptions } from "../formats/row.js";
import type { EventsMapping, ItemsMapping, Source } from "../source.js";
import { Folder } from "./folder.js";
import { htmlText } from "./html-text.js";
import { tableOfFiles } from "./table-of-files.js";

/** The year of a release. */
export type AmazonLayout = 2014 | 2018 | 2023;

/** Files by name, in place of a folder. */
export interface AmazonFiles {
  reviews: string | readonly string[];
  /** Without it items have neither title nor category. */
  metadata?: string | readonly string[] | undefined;
}

/** What {@link amazon} is told. */
export interface AmazonOptions {
  /** The year of the release. Default: told from the names of the files. */
  layout?: AmazonLayout | undefined;
}

/** What the three releases differ in. */
interface Layout {
  /** Names of review files without `.gz`; the group is the category. */
  readonly reviews: RegExp;
  readonly metadata: RegExp;
  readonly expected: string;
  /** Whether lines may be Python literals: metadata as published, anything before someone made JSON of it. */
  readonly python: boolean;
  readonly events: EventsMapping;
  readonly items: ItemsMapping;
}

const rating = (column: string) => ({ kind: "ordinal", column, min: 1, max: 5 }) as const;
const pageText = (column: string) => ({ kind: "text", column, value: textOf }) as const;

const eventsUntil2018: EventsMapping = {
  user: "reviewerID",
  item: "asin",
  time: { column: "unixReviewTime", unit: "seconds" },
  features: {
    rating: rating("overall"),
    summary: pageText("summary"),
    review: pageText("reviewText"),
  },
};

const layouts: Readonly<Record<AmazonLayout, Layout>> = {
  2014: {
    reviews: /^reviews_(.+?)(?:_\d+)?\.json$/,
    metadata: /^meta_(.+)\.json$/,
    expected: "reviews_<category>.json and meta_<category>.json (2014)",
    python: true,
    events: eventsUntil2018,
    items: {
      id: "asin",
      title: { column: "title", value: textOf },
      features: { category: { kind: "bag", column: "categories", values: pathsOf } },
    },
  },
  2018: {
    reviews: /^(?!meta_|reviews_)(.+?)(?:_\d+)?\.json$/,
    metadata: /^meta_(.+)\.json$/,
    expected: "<category>.json and meta_<category>.json (2018)",
    python: false,
    events: eventsUntil2018,
    items: {
      id: "asin",
      title: { column: "title", value: textOf },
      features: { category: { kind: "bag", column: "category", values: pathOf } },
    },
  },
  2023: {
    reviews: /^(?!meta_)(.+)\.jsonl$/,
    metadata: /^meta_(.+)\.jsonl$/,
    expected: "<category>.jsonl and meta_<category>.jsonl (2023)",
    python: false,
    events: {
      user: "user_id",
      item: "parent_asin",
      time: { column: "timestamp", unit: "milliseconds" },
      features: { rating: rating("rating"), summary: pageText("title"), review: pageText("text") },
    },
    items: {
      id: "parent_asin",
      title: { column: "title", value: textOf },
      features: { category: { kind: "bag", column: "categories", values: pathOf } },
    },
  },
};

/**
 * Amazon Reviews of 2014, 2018 or 2023: a folder with the files of one or more categories as they are published (lines of
 * JSON, in gzip or not), or the files by name. All reviews of a folder become one set of histories.
 *
 * Events are reviews, with `rating` (ordinal), `summary` (text, the title of the review) and `review` (text). Items are
 * the products that have reviews, with `category` (bag: every category on the paths to the product but their roots).
 * Items of 2023 are parents, which several variants share. Texts read as they did on the page, see `htmlText`.
 *
 * @throws DataError when the folder has no such files, or lacks some
 * @see https://amazon-reviews-2023.github.io and https://cseweb.ucsd.edu/~jmcauley/datasets/amazon_v2
 */
export async function amazon(
  input: string | AmazonFiles,
  options: AmazonOptions = {},
): Promise<Source> {
  const { year, reviews, metadata } =
    typeof input === "string" ? await findFiles(input, options) : namedFiles(input, options);
  const layout = layouts[year];
  const open = async (path: string, reading: ReaderOptions) => {
    const syntax = layout.python && (await isPython(path)) ? "python" : "json";
    return openJsonLines(path, { syntax }, reading);
  };
  return {
    name: "amazon",
    title: `Amazon Reviews ${year}`,
    ...amazonReviews[year],
    catalogue: "seen",
    events: tableOfFiles(reviews, layout.events, open),
    items: metadata.length === 0 ? undefined : tableOfFiles(metadata, layout.items, open),
  };
}

/** Python quotes the names of a dictionary with `'`. */
async function isPython(path: string): Promise<boolean> {
  const source = await ByteSource.open(path, { blockBytes: 4096 });
  try {
    const start = Buffer.from((await source.next()) ?? []).toString("latin1");
    return /^\s*\{\s*u?'/.test(start);
  } finally {
    await source.close();
  }
}

interface Files {
  readonly year: AmazonLayout;
  readonly reviews: readonly string[];
  readonly metadata: readonly string[];
}

async function findFiles(path: string, { layout }: AmazonOptions): Promise<Files> {
  const folder = await Folder.open(path);
  const years = layout === undefined ? ([2014, 2018, 2023] as const) : [layout];
  const found = years.filter((year) => folder.match(layouts[year].reviews).length > 0);
  const [year] = found;
  if (year === undefined) {
    throw folder.lacks(years.map((year) => layouts[year].expected).join(", or "));
  }
  if (found.length > 1) {
    throw new DataError(
      `${path}: has reviews of ${found.join(" and ")}; say which with the option layout`,
    );
  }
  const reviews = folder.match(layouts[year].reviews);
  const metadata = folder.match(layouts[year].metadata);
  return { year, ...folder.pair(reviews, metadata, "meta_") };
}

function namedFiles({ reviews, metadata = [] }: AmazonFiles, { layout }: AmazonOptions): Files {
  const [paths, metadataPaths] = [reviews, metadata].map((paths) => [paths].flat());
  if (paths!.length === 0) throw new ConfigError("amazon: no file of reviews");
  const year =
    layout ??
    ([2014, 2018, 2023] as const).find((year) => {
      const { reviews } = layouts[year];
      return paths!.every((path) => reviews.test(basename(path).replace(/\.gz$/, "")));
    });
  if (year !== undefined) return { year, reviews: paths!, metadata: metadataPaths! };
  throw new ConfigError(
    `amazon: ${paths![0]} does not tell its layout; give it as the option layout`,
  );
}

function textOf(field: unknown): string | undefined {
  return typeof field === "string" ? htmlText(field) : undefined;
}

/** The categories of several paths from their roots, as in 2014. */
function pathsOf(field: unknown): readonly string[] {
  return Array.isArray(field) ? field.flatMap(pathOf) : [];
}

/** The categories of a path without its root. Some of 2018 end in scraps of HTML. */
function pathOf(field: unknown): readonly string[] {
  if (!Array.isArray(field)) return [];
  const names = field.filter((name) => typeof name === "string");
  return names
    .slice(1)
    .filter((name) => !name.includes("<"))
    .map(htmlText);
}
