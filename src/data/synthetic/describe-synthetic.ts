import { setImmediate } from "node:timers/promises";
import { ConfigError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import { Histories } from "./histories.js";
import type { SyntheticModel } from "./model.js";
import type { SyntheticParameters } from "./options.js";
import { type MeanScores, ranking, Scores } from "./ranking-scores.js";
import { TasteFilter } from "./taste-filter.js";

/** `synthetic.json`: how invented data was made, and what the best ranking scores on it. */
export interface SyntheticCard {
  readonly format: "user-llm-synthetic";
  readonly version: 1;
  /** That nothing in it is real. */
  readonly notice: string;
  /** What `syntheticModel` makes the same process from. */
  readonly options: SyntheticParameters;
  /** Absent where no users were asked for. */
  readonly lastOut?: {
    readonly users: number;
    /** The best ranking there is. Nothing comes twice, so masking what was seen changes nothing. */
    readonly bayes: MeanScores;
    /** The best that one ranking for everybody can be expected to do for these users. */
    readonly popularity: {
      readonly unmasked: MeanScores;
      /** Items that a user has seen are left out of their ranking. */
      readonly masked: MeanScores;
    };
  };
}

/** What {@link describeSynthetic} is told. */
export interface DescribeSyntheticOptions extends LongCall {
  /** Users to average over, evenly spread. 0 leaves out the scores. Default: 2,000, or all if they are fewer. */
  users?: number | undefined;
}

const defaultUsers = 2_000;

/** @throws ConfigError for a number of users that is none */
export function requireOracleUsers(users: number | undefined): void {
  if (users === undefined || (Number.isInteger(users) && users >= 0)) return;
  throw new ConfigError(`synthetic: oracleUsers must be a whole number from 0, got ${users}`);
}

/**
 * What `synthetic.json` holds: the options, and what the best ranking and the best unpersonalized one score for the last
 * event of each user. `measured` counts what happened; `expected` adds up the probabilities of what would have been hits
 * and so has less noise. They differ by chance only.
 *
 * @throws ConfigError when the number of users is not one
 */
export async function describeSynthetic(
  model: SyntheticModel,
  { users: wanted = defaultUsers, onProgress, signal }: DescribeSyntheticOptions = {},
): Promise<SyntheticCard> {
  requireOracleUsers(wanted);
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
