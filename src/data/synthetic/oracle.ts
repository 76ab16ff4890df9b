import { setImmediate } from "node:timers/promises";
import { UsageError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import { Histories } from "./histories.js";
import type { SyntheticModel } from "./model.js";
import type { SyntheticParameters } from "./options.js";
import { log } from "./portable-math.js";
import { TasteFilter } from "./taste-filter.js";

/** An event as the oracle reads it. */
export interface RatedItem {
  /** Index of the item: its row in the items table, its id less 1. */
  readonly item: number;
  /** 0.5 to 5 in halves. */
  readonly rating: number;
}

/**
 * The probability of every item to be a user's next, given all items and ratings so far: the exact posterior of the
 * process that made the data. No model can expect a higher Recall@K or NDCG@K than the ranking by these numbers.
 *
 * @returns `[items]`, adding up to 1; 0 for the items of the history, as nothing comes twice
 * @throws UsageError for an item that is not in the catalogue or comes twice, or a rating that is none
 */
export function bayesProbabilities(
  model: SyntheticModel,
  history: Iterable<RatedItem>,
): Float64Array {
  const filter = new TasteFilter(model);
  const seen = new Set<number>();
  for (const { item, rating } of history) {
    if (!(Number.isInteger(item) && item >= 0 && item < model.catalogue.items) || seen.has(item))
      throw new UsageError(
        `bayesProbabilities: items must be whole numbers below ${model.catalogue.items}, each at most once, got ${item}`,
      );
    const level = 2 * rating - 1;
    if (!(Number.isInteger(level) && level >= 0 && level < 10))
      throw new UsageError(`bayesProbabilities: ratings must be 0.5, 1, ..., 5, got ${rating}`);
    seen.add(item);
    filter.observe(item, level);
  }
  return filter.predict();
}

/** Items from the most to the least probable next one; equal ones by index. `[items]` */
export function bayesRanking(model: SyntheticModel, history: Iterable<RatedItem>): Int32Array {
  return ranking(bayesProbabilities(model, history));
}

/** How well a ranking does for the last event of each user, given all events before it. */
export interface RankingScores {
  readonly recallAt1: number;
  readonly recallAt5: number;
  readonly recallAt10: number;
  readonly ndcgAt10: number;
  readonly mrr: number;
}

export interface SyntheticCard {
  readonly format: "user-llm-synthetic";
  readonly version: 1;
  readonly notice: string;
  /** What `syntheticModel` makes the same process from. */
  readonly options: SyntheticParameters;
  /** Absent where no users were asked for. */
  readonly lastOut?: {
    readonly users: number;
    /** The best ranking there is. Nothing comes twice, so masking what was seen changes nothing. */
    readonly bayes: { readonly expected: RankingScores; readonly measured: RankingScores };
    /** The best that one ranking for everybody can do. */
    readonly popularity: {
      readonly unmasked: { readonly expected: RankingScores; readonly measured: RankingScores };
      /** Items that a user has seen are left out of their ranking. */
      readonly masked: { readonly expected: RankingScores; readonly measured: RankingScores };
    };
  };
}

export interface DescribeSyntheticOptions extends LongCall {
  /** Users to average over, evenly spread. 0 leaves out the scores. Default: 2,000, or all if they are fewer. */
  users?: number | undefined;
}

const defaultUsers = 2_000;

/**
 * What `synthetic.json` holds: the options, and what the best ranking and the best unpersonalized one score for the last
 * event of each user. `measured` counts what happened; `expected` adds up the probabilities of what would have been hits
 * and so has less noise. They differ by chance only.
 */
export async function describeSynthetic(
  model: SyntheticModel,
  { users: wanted = defaultUsers, onProgress, signal }: DescribeSyntheticOptions = {},
): Promise<SyntheticCard> {
  const card = {
    format: "user-llm-synthetic",
    version: 1,
    notice: "Generated data, not real: no user, item, rating or review in it exists.",
    options: model.parameters,
  } as const;
  const users = Math.min(wanted, model.parameters.users);
  if (users === 0) return card;

  const tested = new LastEvents(model, users);
  const pass = async (task: string, visit: Visit) => {
    for (let i = 0; i < users; i++) {
      signal?.throwIfAborted();
      tested.visit(i, visit);
      onProgress?.({ task, done: i + 1, total: users, unit: "rows" });
      await setImmediate();
    }
  };

  const { items } = model.catalogue;
  const bayes = new Scores();
  const sums = new Float64Array(items);
  const unseen = new Float64Array(items);
  await pass("finding the best rankings", (probabilities, target) => {
    bayes.addBest(probabilities, target);
    for (let item = 0; item < items; item++) {
      sums[item]! += probabilities[item]!;
      if (probabilities[item]! > 0) unseen[item]! += 1;
    }
  });

  const byShare = ranking(sums);
  const byShareOfUnseen = ranking(sums.map((sum, item) => sum / Math.max(1, unseen[item]!)));
  const unmasked = new Scores();
  const masked = new Scores();
  await pass("ranking by popularity", (probabilities, target) => {
    unmasked.addInOrder(byShare, probabilities, target);
    masked.addInOrder(byShareOfUnseen, probabilities, target, { skipSeen: true });
  });
  return {
    ...card,
    lastOut: {
      users,
      bayes: bayes.mean(),
      popularity: { unmasked: unmasked.mean(), masked: masked.mean() },
    },
  };
}

type Visit = (probabilities: Float64Array, target: number) => void;

/** The last events of some users, and what was to be expected of them. */
class LastEvents {
  readonly #histories: Histories;
  readonly #filter: TasteFilter;
  readonly #probabilities: Float64Array<ArrayBuffer>;
  readonly #step: number;

  constructor(model: SyntheticModel, users: number) {
    this.#histories = new Histories(model);
    this.#filter = new TasteFilter(model);
    this.#probabilities = new Float64Array(model.catalogue.items);
    this.#step = model.parameters.users / users;
  }

  visit(i: number, visit: Visit): void {
    const { items, levels, length } = this.#histories.of(Math.floor(i * this.#step));
    this.#filter.reset();
    for (let t = 0; t < length - 1; t++) this.#filter.observe(items[t]!, levels[t]!);
    visit(this.#filter.predict(this.#probabilities), items[length - 1]!);
  }
}

/** Sums of what rankings score. */
class Scores {
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

  mean(): { expected: RankingScores; measured: RankingScores } {
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
function ranking(scores: Float64Array): Int32Array {
  return Int32Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]! || a - b);
}
