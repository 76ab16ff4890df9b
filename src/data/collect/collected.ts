/** What reading a source yields: events encoded as numbers, and the tables that say what the numbers mean. */
import type { Dictionary } from "../dictionary.js";
import type { Feature } from "../feature.js";
import type { EventSorter } from "../sort/sorter.js";
import type { Spool } from "../sort/spool.js";

/** The values of a feature, in the order of their final indices. */
export interface Vocabulary {
  readonly feature: string;
  /** Numbers for an ordinal feature, rising; names otherwise, in the order they came. */
  readonly values: readonly string[] | Float64Array;
  /** Events that have each value. A bag counts each of its values once. */
  readonly counts: Float64Array;
}

/** A feature of the items, a row for each item in the final order. */
export type ItemColumn =
  | { readonly feature: string; readonly kind: "single"; readonly indices: Int32Array }
  | {
      readonly feature: string;
      readonly kind: "bag";
      /** Row i has `values[offsets[i] ... offsets[i + 1])`. */
      readonly offsets: Int32Array;
      readonly values: Int32Array;
    }
  | { readonly feature: string; readonly kind: "text"; readonly texts: readonly string[] };

/** What was left out, by rule. */
export interface Dropped {
  /** What was expected, with the column. */
  readonly rule: string;
  readonly rows: number;
  /** The message of the first. */
  readonly first: string;
}

/** A file that was read. */
export interface SourceFile {
  /** Without its folder. */
  readonly name: string;
  /** As it lies on disk, packed or not. */
  readonly bytes: number;
  readonly sha256: string;
}

export interface Collected {
  /** Filled; columns hold indices as they came, see `remaps`. */
  readonly sorter: EventSorter;
  readonly events: number;
  /** Whether `time` counts milliseconds or positions. */
  readonly clock: "time" | "position";
  /** Of each column of the sorter: the final index of every index as it came; undefined where they are equal. */
  readonly remaps: readonly (Int32Array | undefined)[];
  /** Texts and bags of events, by feature, in the order of `features`; row r of a spool is source row r. */
  readonly spools: ReadonlyMap<string, Spool>;
  readonly users: Dictionary;
  readonly items: {
    /** In the final order. */
    readonly ids: readonly string[];
    /** Undefined for an item without a title. */
    readonly titles: readonly (string | undefined)[];
    readonly columns: readonly ItemColumn[];
    /** Events of each item. */
    readonly counts: Float64Array;
    /** Items of events that the items table does not have; 0 where there is no such table. */
    readonly withoutMetadata: number;
    /** Rows of the items table whose item had come before. */
    readonly repeated: number;
  };
  /** Every feature but `item`, events' first, each kind in the order of the mapping. */
  readonly features: readonly Feature[];
  readonly vocabularies: readonly Vocabulary[];
  readonly dropped: readonly Dropped[];
  readonly files: readonly SourceFile[];
}
