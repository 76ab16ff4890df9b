/**
 * What a feature's values are:
 *
 * - `id`: one of very many names, as the item itself;
 * - `categorical`: one of some names without an order;
 * - `ordinal`: one of some numbers in order, as a rating;
 * - `bag`: any number of names, as the genres of a film;
 * - `text`: words for prompts and review generation, never embedded by id.
 */
export type FeatureKind = "id" | "categorical" | "ordinal" | "bag" | "text";

/** A feature of prepared data, as its manifest declares it. */
export interface Feature {
  readonly name: string;
  readonly kind: FeatureKind;
  /** Whether each event has a value of its own, or the event's item has it. */
  readonly of: "event" | "item";
  /** Distinct values; their indices are `0 ... size - 1`, the rows of `vocab-<name>.arrow`. 0 for text. */
  readonly size: number;
  /** Rows (events or items, see `of`) without a value: index -1, an empty bag, or an empty text. */
  readonly missing: number;
  /** Most values in one row of a bag; 1 for the other kinds. */
  readonly longest: number;
}

/** Index of a value that is not there, in prepared files. */
export const missingIndex = -1;

const namePattern = /^[a-z][A-Za-z0-9_]*$/;
/** Columns of prepared files that are no features. */
const reservedNames: ReadonlySet<string> = new Set([
  "id",
  "title",
  "events",
  "item",
  "time",
  "position",
  "offset",
  "length",
  "user",
]);

/** What is wrong with a feature's name, to be read after it; undefined when it is a good one. */
export function featureNameFault(name: string): string | undefined {
  if (!namePattern.test(name)) {
    return "must be named with a small letter, then letters, digits and underscores";
  }
  return reservedNames.has(name) ? "has a name that prepared data keeps for itself" : undefined;
}
