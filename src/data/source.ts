/** What a dataset's file declares: where its tables are and which column means what. Reading is `prepare`'s. */
import type { ReaderOptions, RowReader } from "./formats/row.js";

/** Where a column's numbers are moments. */
export type TimeUnit = "seconds" | "milliseconds" | "microseconds" | "nanoseconds" | "iso";

/** A column by name, by position in a file without header, or by path (`a.b`) in JSON. */
export type Column = string | number;

/** How a feature is read. */
export type FeatureMapping =
  | { readonly kind: "id" | "categorical"; readonly column: Column }
  | {
      readonly kind: "ordinal";
      readonly column: Column;
      /** A value outside is an error. */
      readonly min?: number | undefined;
      readonly max?: number | undefined;
    }
  | {
      readonly kind: "bag";
      readonly column: Column;
      /** Between the values of a text field. Default: `|`. */
      readonly separator?: string | undefined;
      /** Values that mean "none": `(no genres listed)`. */
      readonly none?: readonly string[] | undefined;
      /** The values of a field that is not a text or a list of texts. */
      readonly values?: ((field: unknown) => readonly string[]) | undefined;
    }
  | {
      readonly kind: "text";
      readonly column: Column;
      readonly value?: ((field: unknown) => string | undefined) | undefined;
    };

/** Which columns of an events table mean what. */
export interface EventsMapping {
  readonly user: Column;
  readonly item: Column;
  /** When it happened; or `position`, its place in the user's history. Neither: the order of the file. */
  readonly time?: { readonly column: Column; readonly unit: TimeUnit } | undefined;
  /** Whole numbers, in place of a time. */
  readonly position?: Column | undefined;
  /** By name. */
  readonly features: Readonly<Record<string, FeatureMapping>>;
}

/** Which columns of an items table mean what. An item that comes twice keeps its first row; repetitions are counted. */
export interface ItemsMapping {
  readonly id: Column;
  /** What the item is called; `value` makes a text of a nested field. */
  readonly title?:
    | Column
    | { readonly column: Column; readonly value: (field: unknown) => string | undefined }
    | undefined;
  /** By name, none of them that of a feature of events. */
  readonly features: Readonly<Record<string, FeatureMapping>>;
}

/** A table of a dataset: rows in one file or several, or from anywhere else. */
export interface Table<Mapping> {
  /** Opens the table for one pass. */
  open(options: ReaderOptions): Promise<RowReader>;
  /** Further files of the same table, read after the first in this order. */
  readonly further?: readonly ((options: ReaderOptions) => Promise<RowReader>)[] | undefined;
  readonly mapping: Mapping;
}

/** A dataset before it is prepared: what every reader of `sources/` gives. */
export interface Source {
  /** Short and stable: `movielens`. */
  readonly name: string;
  /** For people: `MovieLens 20M`. */
  readonly title: string;
  /** What its publisher allows, in a line; printed when it is prepared, kept in the manifest. */
  readonly licence?: string | undefined;
  /** What to cite. */
  readonly citation?: string | undefined;
  readonly events: Table<EventsMapping>;
  /** Without it, items are what events name. */
  readonly items?: Table<ItemsMapping> | undefined;
  /** Whether items that no event names stay in the catalogue (`all`) or go (`seen`). */
  readonly catalogue: "all" | "seen";
}
