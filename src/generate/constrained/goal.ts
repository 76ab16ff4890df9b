/** What a search is after, and which nodes of the trie can still matter to it. */
import { UsageError } from "../../errors.js";
import type { TokenTrie } from "./token-trie.js";

export interface RankedString {
  /** Its index in the catalogue. */
  readonly string: number;
  /** Log-probability of its tokens and the end token. */
  readonly score: number;
}

export interface Goal {
  /** Nodes with a lower score do not matter. */
  readonly bound: number;
  /** Nothing matters any more. */
  readonly reached: boolean;
  /** Takes in the strings of a leaf. */
  add(leaf: number, score: number): void;
}

/** Strings that a search leaves out. */
export class Exclusions {
  /** Where they stand among the sorted strings. */
  readonly #places: Int32Array;

  /** @throws UsageError when one is no string of the trie */
  constructor(
    readonly trie: TokenTrie,
    excluded: ArrayLike<number> = [],
  ) {
    const places = Array.from(excluded, (string) => {
      if (!(Number.isInteger(string) && string >= 0 && string < trie.strings))
        throw new UsageError(`excluded: ${string} is not one of ${trie.strings} strings`);
      return trie.placeOf(string);
    });
    this.#places = Int32Array.from(new Set(places)).sort();
  }

  /** The strings below a node that are not left out, by index if they are the same. */
  *strings(node: number): Iterable<number> {
    const { spans, sorted } = this.trie;
    const end = spans[2 * node + 1]!;
    let next = this.#placesBefore(spans[2 * node]!);
    for (let place = spans[2 * node]!; place < end; place++)
      if (this.#places[next] === place) next++;
      else yield sorted[place]!;
  }

  /** How many strings below a node are not left out. */
  count(node: number): number {
    const { spans } = this.trie;
    const [from, to] = [spans[2 * node]!, spans[2 * node + 1]!];
    return to - from - (this.#placesBefore(to) - this.#placesBefore(from));
  }

  #placesBefore(place: number): number {
    let from = 0;
    let to = this.#places.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#places[middle]! < place) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

/** The `k` best strings; of equal ones those with the smaller index. */
export class BestStrings implements Goal {
  readonly #best: RankedString[] = [];
  readonly reached = false;

  constructor(
    readonly k: number,
    readonly exclusions: Exclusions,
  ) {}

  get bound(): number {
    return this.#best.length < this.k ? Number.NEGATIVE_INFINITY : this.#best[this.k - 1]!.score;
  }

  /** Best first. */
  get strings(): readonly RankedString[] {
    return this.#best;
  }

  add(leaf: number, score: number): void {
    if (score < this.bound) return;
    for (const string of this.exclusions.strings(leaf)) {
      const isBefore = (other: RankedString): boolean =>
        other.score > score || (other.score === score && other.string < string);
      let at = this.#best.length;
      while (at > 0 && !isBefore(this.#best[at - 1]!)) at--;
      if (at >= this.k) return;
      this.#best.splice(at, 0, { string, score });
      if (this.#best.length > this.k) this.#best.pop();
    }
  }
}

/** How many strings are not below a target: its rank among all of them. */
export class BetterStrings implements Goal {
  #early: { leaf: number; score: number }[] = [];
  #targetScore: number | undefined;
  #better = 0;

  constructor(
    readonly target: number,
    readonly maxRank: number,
    readonly exclusions: Exclusions,
  ) {}

  get bound(): number {
    return this.#targetScore ?? Number.NEGATIVE_INFINITY;
  }

  get reached(): boolean {
    return this.#better >= this.maxRank;
  }

  /** 1 and the other strings whose score is not below the target's; at most `maxRank + 1`. */
  get rank(): number {
    return 1 + Math.min(this.#better, this.maxRank);
  }

  get score(): number {
    return this.bound;
  }

  add(leaf: number, score: number): void {
    if (this.exclusions.trie.isBelow(leaf, this.target)) {
      this.#targetScore = score;
      for (const each of this.#early.splice(0)) this.#count(each.leaf, each.score);
    }
    if (this.#targetScore === undefined) this.#early.push({ leaf, score });
    else this.#count(leaf, score);
  }

  #count(leaf: number, score: number): void {
    if (score < this.bound) return;
    for (const string of this.exclusions.strings(leaf)) if (string !== this.target) this.#better++;
  }
}
