import { ConfigError } from "../../errors.js";

/** What `synthetic` and `writeSynthetic` make. Whatever is left out comes from the preset. */
export interface SyntheticOptions {
  /** Default: `small`. */
  preset?: SyntheticPreset | undefined;
  /** A whole number from 0 to 2^53 - 1. Default: 1. */
  seed?: number | undefined;
  /** Default: the preset's. */
  users?: number | undefined;
  /** Default: the preset's. */
  items?: number | undefined;
  /** Of all users together, exactly. Default with `users`: as many for each user as in the preset. */
  events?: number | undefined;
  /** Genres, and tastes, of which there is one for each genre: 2 to 18. Default: 16. */
  genres?: number | undefined;
  /** Fewest events of a user. Default: 20. */
  shortest?: number | undefined;
  /** Standard deviation of the logarithm of a history's length beyond `shortest`. Default: 1.38. */
  lengthSpread?: number | undefined;
  /** s, where the item of rank r has popularity r^-s. Default: 1. */
  popularityExponent?: number | undefined;
  /** How often an item from the shelf right after the last one comes next, where there is one unseen. Default: 0.35. */
  followShare?: number | undefined;
  /** How often a user's mood changes from one event to the next. Default: 0.12. */
  moodChange?: number | undefined;
  /** How often a user's home, to which the mood returns, changes from one event to the next. Default: 0.01. */
  homeChange?: number | undefined;
  /** Share of events at the very second of the one before. Default: 0.05. */
  tiedShare?: number | undefined;
  /** About this share of items gets the title of another, year and all. Default: 0.01. */
  collisionShare?: number | undefined;
  /** Share of events with a review, where reviews are asked for. Default: 0.3. */
  reviewShare?: number | undefined;
  /** Share of items with titles, and of users with reviews, in Greek, Russian, Arabic or Japanese. Default: 0.02. */
  otherScriptShare?: number | undefined;
}

/** `tiny` is for tests, `small` like MovieLens latest-small, the others like their namesakes. */
export type SyntheticPreset = "tiny" | "small" | "ml-1m" | "ml-20m";

/** Every option, decided. */
export type SyntheticParameters = {
  [Name in keyof SyntheticOptions]-?: NonNullable<SyntheticOptions[Name]>;
};

export const syntheticPresets: Readonly<
  Record<SyntheticPreset, { users: number; items: number; events: number }>
> = {
  tiny: { users: 50, items: 200, events: 2_000 },
  small: { users: 610, items: 9_742, events: 100_836 },
  "ml-1m": { users: 6_040, items: 3_706, events: 1_000_209 },
  "ml-20m": { users: 138_493, items: 27_278, events: 20_000_263 },
};

/** A history has at most this share of the catalogue: nothing comes twice, and something must be left to choose. */
const longestShare = 1 / 3;

const defaults = {
  seed: 1,
  genres: 16,
  shortest: 20,
  lengthSpread: 1.38,
  popularityExponent: 1,
  followShare: 0.35,
  moodChange: 0.12,
  homeChange: 0.01,
  tiedShare: 0.05,
  collisionShare: 0.01,
  reviewShare: 0.3,
  otherScriptShare: 0.02,
};

/** @throws ConfigError for a value that is out of range, or values that do not go together */
export function resolveSynthetic(options: SyntheticOptions = {}): SyntheticParameters {
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  const { preset = "small" } = options;
  const sizes = syntheticPresets[preset];
  if (sizes === undefined)
    throw new ConfigError(
      `synthetic: there is no preset "${preset}"; there are ${Object.keys(syntheticPresets).join(", ")}`,
    );
  const users = options.users ?? sizes.users;
  const events = Math.round((users * sizes.events) / sizes.users);
  const base: SyntheticParameters = { preset, ...defaults, ...sizes, events };
  for (const name of Object.keys(given)) {
    if (!(name in base))
      throw new ConfigError(
        `synthetic: there is no option "${name}"; there are ${Object.keys(base).join(", ")}`,
      );
  }
  const resolved = { ...base, ...given };
  requireRanges(resolved);
  return resolved;
}

function requireRanges(resolved: SyntheticParameters): void {
  requireWhole(resolved, "seed", 0, Number.MAX_SAFE_INTEGER);
  requireWhole(resolved, "users", 1, 2 ** 31 - 1);
  requireWhole(resolved, "items", 3, 2 ** 21);
  requireWhole(resolved, "genres", 2, 18);
  requireWhole(resolved, "shortest", 1, resolved.items);
  requireRange(resolved, "lengthSpread", 0, 3);
  requireRange(resolved, "popularityExponent", 0, 1.5);
  for (const share of [
    "followShare",
    "moodChange",
    "homeChange",
    "tiedShare",
    "collisionShare",
    "reviewShare",
    "otherScriptShare",
  ] as const)
    requireRange(resolved, share, 0, 1);

  const { users, items, events, shortest } = resolved;
  const longest = longestHistory(resolved);
  requireWhole(resolved, "events", 1, Number.MAX_SAFE_INTEGER);
  if (events < users * shortest || events > users * longest)
    throw new ConfigError(
      `synthetic: ${users} users of ${shortest} to ${longest} events (a third of ${items} items) ` +
        `have ${users * shortest} to ${users * longest} events, not ${events}`,
    );
}

/** Most events of a user. */
export const longestHistory = ({ items }: { items: number }): number =>
  Math.floor(items * longestShare);

type NumberName = Exclude<keyof SyntheticParameters, "preset">;

function requireWhole(
  values: SyntheticParameters,
  name: NumberName,
  least: number,
  most: number,
): void {
  if (!Number.isInteger(values[name]))
    throw new ConfigError(`synthetic: ${name} must be a whole number, got ${values[name]}`);
  requireRange(values, name, least, most);
}

function requireRange(
  values: SyntheticParameters,
  name: NumberName,
  least: number,
  most: number,
): void {
  if (!(values[name] >= least && values[name] <= most))
    throw new ConfigError(
      `synthetic: ${name} must be from ${least} to ${most}, got ${values[name]}`,
    );
}
