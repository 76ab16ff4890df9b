import { UsageError } from "../../errors.js";
import type { BatchLayout } from "./batch.js";

/** How a {@link Loader} makes batches. Options that do not exist are refused. */
export interface LoaderOptions {
  /** Windows of a batch. */
  batchSize: number;
  /** Default: `padded`. */
  layout?: BatchLayout | undefined;
  /** `item` and names of features. Default: the item and every feature but text. */
  features?: readonly string[] | undefined;
  /** Whether batches have targets at every position. Default: true. */
  targets?: boolean | undefined;
  /** Each epoch in a random order of all windows; else in the order of users and time. Default: false. */
  shuffle?: boolean | undefined;
  /** Decides the order, with the epoch. Default: 0. */
  seed?: number | undefined;
  /** Which part of each epoch this loader takes, `0 ... world - 1`. Default: 0. */
  rank?: number | undefined;
  /** Loaders that share the windows: together they take each exactly once in an epoch. Default: 1. */
  world?: number | undefined;
  /**
   * Leaves out the windows at the end of an epoch's order that do not fill a batch on every rank, so that all batches
   * are full and all ranks have equally many. Default: false.
   */
  dropLast?: boolean | undefined;
  /** A loop ends where the epoch becomes a multiple of this; `Infinity` never ends. Default: 1. */
  epochs?: number | undefined;
  /** Batches gathered ahead. Default: 3. */
  prefetch?: number | undefined;
  /** Aborting makes the loop throw the signal's reason. */
  signal?: AbortSignal | undefined;
}

const defaults = {
  layout: "padded",
  targets: true,
  shuffle: false,
  seed: 0,
  rank: 0,
  world: 1,
  dropLast: false,
  epochs: 1,
  prefetch: 3,
} as const;

/** Options with all defaults filled in. */
export type LoaderSettings = {
  readonly [Name in Exclude<keyof LoaderOptions, "features" | "signal">]-?: NonNullable<
    LoaderOptions[Name]
  >;
};

/** @throws UsageError at an option that is unknown or not what it should be */
export function settingsOf(options: Omit<LoaderOptions, "features" | "signal">): LoaderSettings {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const settled = { ...defaults, ...Object.fromEntries(given) } as LoaderSettings;
  const unknown = Object.keys(settled).find((key) => key !== "batchSize" && !(key in defaults));
  if (unknown) throw new UsageError(`Loader: ${unknown} is not an option`);
  const { batchSize, layout, seed, rank, world, epochs, prefetch } = settled;
  requireWhole("batchSize", batchSize, 1);
  requireWhole("seed", seed, 0);
  requireWhole("world", world, 1);
  requireWhole("rank", rank, 0, world - 1);
  requireWhole("prefetch", prefetch, 1, 64);
  if (epochs !== Infinity) requireWhole("epochs", epochs, 1);
  if (layout !== "padded" && layout !== "ragged")
    throw new UsageError(`Loader: layout must be "padded" or "ragged", got "${layout as string}"`);
  return settled;
}

export function requireWhole(
  name: string,
  value: number,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  const range = most === Number.MAX_SAFE_INTEGER ? `at least ${least}` : `${least} to ${most}`;
  throw new UsageError(`Loader: ${name} must be a whole number, ${range}, got ${value}`);
}
