import { setImmediate } from "node:timers/promises";
import { AliasTable } from "./alias-table.js";
import { type Catalogue, makeCatalogue } from "./catalogue.js";
import { historyLengths } from "./lengths.js";
import { resolveSynthetic, type SyntheticOptions, type SyntheticParameters } from "./options.js";

/**
 * The process that makes the events, as numbers. `docs/synthetic-data.md` has it as formulas.
 *
 * A user has a *home* (the taste to which they return) and a *mood* (the taste of the moment), both hidden, and both
 * change as a Markov chain: the next state depends on the present one alone.
 */
export interface SyntheticModel {
  readonly parameters: SyntheticParameters;
  readonly catalogue: Catalogue;
  /** Events of each user. */
  readonly lengths: Int32Array;
  /** Draws a home. */
  readonly homeTable: AliasTable;
  /** For each taste the sum over the catalogue of popularity times appeal. */
  readonly tasteTotals: Float64Array;
  /** For each taste, draws an item. */
  readonly tasteTables: readonly AliasTable[];
}

/** How much a taste multiplies popularity: genre absent, among the further genres, first genre. */
export const appeals = [1, 8, 60] as const;

/** Where a mood goes when it changes. The rest: to any taste, by how common it is. */
export const moodMoves = { home: 0.6, neighbour: 0.2 } as const;

/** Where a home goes when it changes. The rest: to any taste, by how common it is. */
export const homeMoves = { neighbour: 0.5 } as const;

/** Weights of the unseen items 1, 2, ... places further on the shelf. */
export const followWeights = Float64Array.from({ length: 8 }, (_, i) => 1 / (i + 1));

/** Shares of users who rate low, evenly, and high. */
export const leniences = [0.25, 0.5, 0.25] as const;

export const ratingLevels = 10; // 0.5, 1, ..., 5
/** The level that a rating is around: genre absent, among the further genres, first genre. */
const ratingCentres = [3, 5, 6];
/** Chances that it is 3 levels lower, ..., 3 levels higher; beyond the ends it is at the end. */
const ratingNoise = [0.03, 0.1, 0.22, 0.3, 0.22, 0.1, 0.03];

/**
 * Makes the process from its options; the same ones give the same process on every machine.
 *
 * @throws ConfigError for an option that is out of range
 */
export async function syntheticModel(options: SyntheticOptions = {}): Promise<SyntheticModel> {
  const parameters = resolveSynthetic(options);
  const catalogue = await makeCatalogue(parameters);
  const tasteTotals = new Float64Array(parameters.genres);
  const tasteTables: AliasTable[] = [];
  for (let taste = 0; taste < parameters.genres; taste++) {
    const weights = catalogue.popularity.map(
      (share, item) => share * appeals[match(catalogue, item, taste)],
    );
    tasteTotals[taste] = weights.reduce((sum, weight) => sum + weight, 0);
    tasteTables.push(new AliasTable(weights));
    await setImmediate(); // others want the event loop
  }
  return {
    parameters,
    catalogue,
    lengths: await historyLengths(parameters),
    homeTable: new AliasTable(catalogue.genreShares),
    tasteTotals,
    tasteTables,
  };
}

/** 2: the item's first genre is the taste's; 1: another of its genres is; 0: none is. */
export function match(
  { firstGenre, genreBits }: Catalogue,
  item: number,
  taste: number,
): 0 | 1 | 2 {
  if (firstGenre[item] === taste) return 2;
  return (genreBits[item]! >> taste) & 1 ? 1 : 0;
}

/** Share of the item among all, when a taste chooses and nothing has been seen. */
export function tasteShare(
  { catalogue, tasteTotals }: SyntheticModel,
  item: number,
  taste: number,
): number {
  return (
    (catalogue.popularity[item]! * appeals[match(catalogue, item, taste)]) / tasteTotals[taste]!
  );
}

/** The taste after this one on the ring of tastes. */
export const neighbour = (taste: number, tastes: number): number => (taste + 1) % tastes;

/** Chances of the ten ratings, by `ratingRow`. */
export const ratingChances: readonly Float64Array[] = ratingTable();

/** Row of `ratingChances`: who rates (lenience 0, 1, 2), how well it matches, and its quality (-1, 0, 1). */
export const ratingRow = (lenience: number, matched: number, quality: number): number =>
  (lenience * 3 + matched) * 3 + quality + 1;

function ratingTable(): Float64Array[] {
  const rows: Float64Array[] = [];
  for (let lenience = 0; lenience < 3; lenience++)
    for (const centre of ratingCentres)
      for (let quality = -1; quality <= 1; quality++) {
        const row = new Float64Array(ratingLevels);
        ratingNoise.forEach((chance, i) => {
          const level = centre + (lenience - 1) + quality + i - 3;
          row[Math.min(ratingLevels - 1, Math.max(0, level))]! += chance;
        });
        rows.push(row);
      }
  return rows;
}
