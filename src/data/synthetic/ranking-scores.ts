import { log } from "./portable-math.js";

/** How well a ranking does for the last event of each user, given all events before it. */
export interface RankingScores {
  readonly recallAt1: number;
  readonly recallAt5: number;
  readonly recallAt10: number;
  readonly ndcgAt10: number;
  readonly mrr: number;
}

/** `measured` counts hits; `expected` adds up how probable they were. */
export interface MeanScores {
  readonly expected: RankingScores;
  readonly measured: RankingScores;
}

/** Sums of what rankings score. */
export class Scores {
  #users = 0;
  readonly #expected = new Float64Array(5);
  readonly #measured = new Float64Array(5);

  /** The ranking by the probabilities themselves; the target counts as the last of equal ones. */
  addBest(probabilities: Float64Array, target: number): void {
    const falling = probabilities.slice().sort().reverse();
    for (let i = 0; i < falling.length; i++) addAt(this.#expected, i + 1, falling[i]!);
    let rank = 0;
    for (const probability of falling) if (probability >= probabilities[target]!) rank++;
    addAt(this.#measured, rank, 1);
    this.#users++;
  }

  addInOrder(
    order: Int32Array,
    probabilities: Float64Array,
    target: number,
    { skipSeen = false } = {},
  ): void {
    let rank = 0;
    for (const item of order) {
      if (skipSeen && probabilities[item] === 0) continue;
      rank++;
      addAt(this.#expected, rank, probabilities[item]!);
      if (item === target) addAt(this.#measured, rank, 1);
    }
    this.#users++;
  }

  mean(): MeanScores {
    return {
      expected: named(this.#expected, this.#users),
      measured: named(this.#measured, this.#users),
    };
  }
}

function addAt(scores: Float64Array, rank: number, chance: number): void {
  if (rank <= 1) scores[0]! += chance;
  if (rank <= 5) scores[1]! += chance;
  if (rank <= 10) {
    scores[2]! += chance;
    scores[3]! += (chance * log(2)) / log(rank + 1);
  }
  scores[4]! += chance / rank;
}

function named(sums: Float64Array, users: number): RankingScores {
  const [recallAt1, recallAt5, recallAt10, ndcgAt10, mrr] = sums.map((sum) => sum / users);
  return {
    recallAt1: recallAt1!,
    recallAt5: recallAt5!,
    recallAt10: recallAt10!,
    ndcgAt10: ndcgAt10!,
    mrr: mrr!,
  };
}

/** Indices from the greatest score to the least, equal ones by index. */
export function ranking(scores: Float64Array): Int32Array {
  return Int32Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]! || a - b);
}
