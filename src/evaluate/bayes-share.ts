import type { SyntheticCard } from "../data/index.js";
import { syntheticOrigin } from "../data/synthetic/origin.js";
import { UsageError } from "../errors.js";
import type { RankingResult } from "./ranking-result.js";

const scores = { "recall@10": "recallAt10", "ndcg@10": "ndcgAt10" } as const;

/** How far a ranker got between the least and the most that can be had. */
export interface GapClosed {
  /** What the best ranking for everybody scores. */
  readonly popularity: number;
  /** What the best ranking there is scores. */
  readonly bayes: number;
  readonly ranker: number;
  /** `(ranker - popularity) / (bayes - popularity)`: 0 as popularity, 1 as the best; chance may carry it beyond either. */
  readonly share: number;
}

/** {@link GapClosed} by metric. */
export interface BayesShare {
  readonly unmasked: Readonly<Record<keyof typeof scores, GapClosed>>;
  readonly masked: Readonly<Record<keyof typeof scores, GapClosed>>;
}

/**
 * On invented data, whose best ranking is known: the share of the gap from popularity to that ranking that a ranker
 * closes. The two ends are what is to be expected, which has less noise than what happened.
 *
 * @param card `synthetic.json` of the data, or what `describeSynthetic` gives
 * @throws UsageError when the result is not of the last events of that data, or the card has no scores
 */
export function bayesShare(result: RankingResult, card: SyntheticCard): BayesShare {
  const { part, split } = result.protocol;
  const { data, decisions } = split;
  const { title } = syntheticOrigin(card.options);
  const isSame = data.title === title && data.users === card.options.users;
  if (!isSame || data.events !== card.options.events)
    throw new UsageError(
      `bayesShare: the card is of ${title} with ${card.options.users} users and ${card.options.events} events, ` +
        `the result of ${data.title} with ${data.users} and ${data.events}`,
    );
  if (part !== "test" || decisions.strategy !== "leave-last-out")
    throw new UsageError(
      `bayesShare: the card is about the last event of each user, the result about the ${part} of a ${decisions.strategy} split`,
    );
  const { lastOut } = card;
  if (!lastOut) throw new UsageError("bayesShare: the card has no scores (oracleUsers was 0)");
  const closed = (kind: "unmasked" | "masked") => {
    const gapOf = (metric: keyof typeof scores): GapClosed => {
      const popularity = lastOut.popularity[kind].expected[scores[metric]];
      const bayes = lastOut.bayes.expected[scores[metric]];
      const ranker = result.metrics.all[kind][metric]?.mean;
      if (ranker === undefined)
        throw new UsageError(`bayesShare: the result has no ${metric}; evaluate with k = 10`);
      return { popularity, bayes, ranker, share: (ranker - popularity) / (bayes - popularity) };
    };
    return { "recall@10": gapOf("recall@10"), "ndcg@10": gapOf("ndcg@10") };
  };
  return { unmasked: closed("unmasked"), masked: closed("masked") };
}
