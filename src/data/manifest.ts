import type { Dropped, SourceFile } from "./collect/collected.js";
import type { Feature } from "./feature.js";

/** Raised when the layout of prepared folders changes. */
export const formatVersion = 1;

/** `manifest.json` of a prepared folder. Nothing in it depends on when, where or as what user it was made. */
export interface Manifest {
  readonly format: "user-llm-data";
  /** The `formatVersion` it was written with. */
  readonly version: number;
  readonly source: {
    readonly name: string;
    readonly title: string;
    readonly licence: string | null;
    readonly citation: string | null;
    readonly files: readonly SourceFile[];
  };
  readonly counts: {
    readonly events: number;
    readonly users: number;
    readonly items: number;
    /** Items of the catalogue that no event names. */
    readonly itemsWithoutEvents: number;
    /** Items of events that the items table does not have. */
    readonly itemsWithoutMetadata: number;
    /** Rows of the items table whose item had come before. */
    readonly repeatedItems: number;
  };
  readonly clock: {
    readonly kind: "time" | "position";
    /** Least and greatest; milliseconds since 1970 or positions. Null without events. */
    readonly first: number | null;
    readonly last: number | null;
    /** Events that share user and time with another, whose order is the source's. */
    readonly tiedEvents: number;
    /** Users whose last event is tied, so that the test target depends on the order of the source. */
    readonly usersWithTiedLast: number;
  };
  readonly titles: {
    /** Items without a title. */
    readonly missing: number;
    /** Titles that several items have, and how many items those are. */
    readonly shared: number;
    readonly itemsSharing: number;
  };
  /** Every feature but the item itself. */
  readonly features: readonly Feature[];
  /** Rows left out by `onError: "skip"`. */
  readonly dropped: readonly Dropped[];
  /** The Arrow files of the folder. */
  readonly files: readonly PreparedFile[];
}

/** An Arrow file of a prepared folder. */
export interface PreparedFile {
  readonly name: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** Files of a prepared folder that its manifest does not list: itself, and what `prepareSynthetic` puts beside it. */
export const unlistedFiles: readonly string[] = ["manifest.json", "synthetic.json"];
