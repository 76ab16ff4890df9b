import type { SplitCard } from "../data/index.js";

/** The version of {@link RankingResult} that this package writes and reads. */
export const rankingVersion = 1;

/** How well a ranker found what came next. Plain data: `writeRanking` keeps it as JSON. */
export interface RankingResult {
  readonly format: "user-llm-ranking";
  readonly version: typeof rankingVersion;
  /** Name of the ranker. */
  readonly ranker: string;
  readonly protocol: RankingProtocol;
  readonly counts: RankingCounts;
  readonly metrics: {
    /** Over all windows. */
    readonly all: Measurement;
    /** Over the windows whose target is not cold; null where there are none. */
    readonly withoutCold: Measurement | null;
  };
  /** Of each window what the metrics are computed from. */
  readonly windows: RankedWindows;
}

/** Metrics by name ({@link MetricName}). */
export interface Measurement {
  /** Every item competed. */
  readonly unmasked: Readonly<Record<string, Estimate>>;
  /** Items that the user had before did not compete. */
  readonly masked: Readonly<Record<string, Estimate>>;
}

/** A mean over windows. */
export interface Estimate {
  readonly mean: number;
  /** The percentile interval of resampled users; null without resampling. */
  readonly interval: readonly [low: number, high: number] | null;
}

/** Every decision behind the numbers. Two results compare when all but `ks`, `bootstrap` and `versions` is equal. */
export interface RankingProtocol {
  readonly task: "next-item";
  /** Whose targets were ranked. */
  readonly part: "validation" | "test";
  /** Users that were sampled, evenly spread; null for all that have windows. */
  readonly sampledUsers: number | null;
  /** Items that competed: all of the data. */
  readonly candidates: number;
  /** What masking leaves out: `history`, all items of the user's events before the target, never the target itself. */
  readonly seen: "history";
  /** `pessimistic`: an equal score counts against the target, and so does one that is not a number. */
  readonly ties: "pessimistic";
  /** Lengths of the lists that metrics look at. */
  readonly ks: readonly number[];
  /** How intervals were made; null for none. */
  readonly bootstrap: {
    readonly over: "users";
    readonly resamples: number;
    readonly level: number;
    readonly seed: number;
  } | null;
  /** SHA-256 of the users and target rows, in order. */
  readonly windows: string;
  readonly split: SplitCard;
  readonly versions: { readonly userLlm: string; readonly node: string };
}

/** What was ranked. */
export interface RankingCounts {
  readonly windows: number;
  /** Users that have a window. */
  readonly users: number;
  /** Users of the data that have none: their history is too short, or they are of another part or not sampled. */
  readonly usersNotTested: number;
  /** Targets that are in no training window, neither as target nor as input. */
  readonly coldTargets: number;
  /** Targets that the user had before. Masking does not touch them. */
  readonly repeatedTargets: number;
}

/** Columns of equal length, by user and target row. */
export interface RankedWindows {
  /** Numbers of users in the data. */
  readonly users: readonly number[];
  /** Rows of the targets in the events of the data. */
  readonly targetRows: readonly number[];
  readonly unmasked: readonly number[];
  readonly masked: readonly number[];
  /** 1 for a cold target. */
  readonly cold: readonly number[];
  /** 1 for a target that the user had before. */
  readonly repeated: readonly number[];
}
