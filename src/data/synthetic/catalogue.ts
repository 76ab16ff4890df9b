import { setImmediate } from "node:timers/promises";
import { AliasTable } from "./alias-table.js";
import type { SyntheticParameters } from "./options.js";
import { RandomStream } from "./philox.js";
import { zipf } from "./portable-math.js";
import { purposes } from "./purposes.js";
import { adjectives, genreNames, nouns, otherScripts, places, sequels } from "./words.js";

/** Shares of items with one genre, two, three and four. */
const genreCounts = [0.35, 0.35, 0.2, 0.1];
const withoutGenres = 0.01;
const genreExponent = 0.8;
/** Shares of items that are worse than most, as good, and better. */
const qualities = [0.25, 0.5, 0.25];
/** How often the next item of a shelf goes on with a series. */
const seriesShare = 0.3;
const firstYear = 1930;
const years = 85;

/** The items. Index i is row i of the items table; its id is i + 1. */
export interface Catalogue {
  readonly items: number;
  /** Names of the genres, in the order of tastes. */
  readonly genres: readonly string[];
  /** Share of items whose first genre each is; also how common each taste is. */
  readonly genreShares: Float64Array;
  /** Shares of all the popularity, as taste leaves it. */
  readonly popularity: Float64Array;
  /** The first genre; `genres.length` for an item without any. */
  readonly firstGenre: Uint8Array;
  /** Bit g is set where the item has genre g. */
  readonly genreBits: Int32Array;
  /** -1, 0 or 1: moves ratings. */
  readonly quality: Int8Array;
  /** The items of each first genre, in the order of the catalogue; last, those without genres. */
  readonly shelves: readonly Int32Array[];
  /** Where on its shelf each item stands. */
  readonly place: Int32Array;
  readonly titles: readonly string[];
}

export async function makeCatalogue(parameters: SyntheticParameters): Promise<Catalogue> {
  const { seed, items, genres, popularityExponent } = parameters;
  const random = new RandomStream(seed, purposes.catalogue);
  const genreShares = zipf(genres, genreExponent);
  const firstGenre = new Uint8Array(items);
  const genreBits = new Int32Array(items);
  const quality = new Int8Array(items);
  const table = new AliasTable(genreShares);
  for (let i = 0; i < items; i++) {
    quality[i] = random.draw(qualities) - 1;
    firstGenre[i] = random.unit() < withoutGenres ? genres : table.draw(random);
    if (firstGenre[i] === genres) continue;
    genreBits[i] = 1 << firstGenre[i]!;
    const more = random.draw(genreCounts);
    for (let j = 0; j < more; j++) genreBits[i]! |= 1 << table.draw(random);
  }
  const ranked = zipf(items, popularityExponent);
  const ranks = permutation(items, random);
  const shelves = Array.from({ length: genres + 1 }, (_, genre) =>
    Int32Array.from(firstGenre.keys()).filter((i) => firstGenre[i] === genre),
  );
  const place = new Int32Array(items);
  for (const shelf of shelves) shelf.forEach((item, at) => (place[item] = at));
  return {
    items,
    genres: genreNames.slice(0, genres),
    genreShares,
    popularity: Float64Array.from(ranks, (rank) => ranked[rank]!),
    firstGenre,
    genreBits,
    quality,
    shelves,
    place,
    titles: await makeTitles(parameters, shelves),
  };
}

/** Names of an item's genres, by the alphabet. */
export function genresOf({ genres, genreBits }: Catalogue, item: number): string[] {
  return genres.filter((_, genre) => (genreBits[item]! >> genre) & 1).sort();
}

/** All numbers below `count`, shuffled (Fisher-Yates). */
function permutation(count: number, random: RandomStream): Int32Array {
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** Titles shelf by shelf, so that a series stands together, and in order. */
async function makeTitles(
  { seed, items, collisionShare, otherScriptShare }: SyntheticParameters,
  shelves: readonly Int32Array[],
): Promise<string[]> {
  const random = new RandomStream(seed, purposes.titles);
  const titles = new Array<string>(items);
  const taken = new Set<string>();
  for (const shelf of shelves) {
    await setImmediate(); // others want the event loop
    let series: { name: string; year: number; part: number } | undefined;
    for (const item of shelf) {
      if (series && series.part < sequels.length && random.unit() < seriesShare) {
        series.year += 1 + random.below(4);
      } else {
        const other = random.unit() < otherScriptShare;
        series = {
          name: newName(random, taken, other),
          year: firstYear + random.below(years),
          part: 0,
        };
      }
      titles[item] = `${series.name}${sequels[series.part++]} (${series.year})`;
    }
  }
  const repeated = Math.round(items * collisionShare);
  for (let i = 0; i < repeated; i++) titles[random.below(items)] = titles[random.below(items)]!;
  return titles;
}

/** A name that no item has yet. */
function newName(random: RandomStream, taken: Set<string>, otherScript: boolean): string {
  for (let attempt = 0; ; attempt++) {
    const name = otherScript ? otherName(random, attempt) : englishName(random, attempt);
    if (taken.has(name)) continue;
    taken.add(name);
    return name;
  }
}

/** Of rising length, so that a free one is found soon. */
function englishName(random: RandomStream, attempt: number): string {
  const adjective = random.pick(adjectives);
  const noun = random.pick(nouns);
  const pattern = random.below(attempt === 0 ? 6 : 2);
  const place = random.pick(places);
  if (attempt > 3) {
    return `The ${adjective} ${noun} and the ${random.pick(adjectives)} ${random.pick(nouns)} of ${place}`;
  }
  return [
    `The ${adjective} ${noun} of ${place}`,
    `${random.pick(adjectives)} ${noun}, ${adjective} ${random.pick(nouns)}`,
    `The ${adjective} ${noun}`,
    `${noun} of ${place}`,
    `A ${noun} in ${place}`,
    `The "${adjective}" ${noun}`,
  ][pattern]!;
}

function otherName(random: RandomStream, attempt: number): string {
  const script = random.pick(otherScripts);
  const adjective = random.pick(script.adjectives);
  const noun = random.pick(script.nouns);
  const words = "nounFirst" in script ? [noun, adjective] : [adjective, noun];
  const name = words.join(script.between);
  return attempt === 0 ? name : `${name} ${2 + random.below(98)}`;
}
