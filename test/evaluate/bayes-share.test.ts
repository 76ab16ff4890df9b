import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import {
  bayesProbabilities,
  PreparedData,
  prepareSynthetic,
  type SyntheticCard,
  split,
  syntheticModel,
} from "../../src/data/index.js";
import {
  bayesShare,
  evaluateRanking,
  mostPopular,
  type RankingResult,
  scoreRanker,
} from "../../src/evaluate/index.js";
import { freshFolder } from "../data/prepared/prepared-folder.js";

test("the best ranking closes the gap, popularity leaves it open", async (t) => {
  const folder = join(await freshFolder(t), "prepared");
  const options = { preset: "tiny", users: 300, items: 120, events: 9_000, seed: 4 } as const;
  await prepareSynthetic(folder, options);
  const card = JSON.parse(await readFile(join(folder, "synthetic.json"), "utf8")) as SyntheticCard;
  const data = await PreparedData.open(folder);
  t.teardown(() => data.close());
  const made = await split(data, { windows: "padded", validation: false });

  const model = await syntheticModel(options);
  const ratings = data.column("rating");
  const levels = data.vocabulary("rating") as Float64Array;
  const indexInModel = Array.from(
    { length: data.items },
    (_, item) => Number(data.itemId(item)) - 1,
  );
  const best = scoreRanker({
    name: "best",
    items: data.items,
    scores(history, user) {
      const first = data.userOffsets[user]!;
      const rated = Array.from(history, (item, i) => ({
        item: indexInModel[item]!,
        rating: levels[ratings[first + i]!]!,
      }));
      const probabilities = bayesProbabilities(model, rated);
      return indexInModel.map((item) => probabilities[item]!);
    },
  });
  const result = await evaluateRanking(best, data, made, { bootstrap: 0, ks: [1, 5, 10] });
  const { bayes, popularity, users } = card.lastOut!;
  t.is(users, 300);
  for (const kind of ["unmasked", "masked"] as const) {
    const measured = result.metrics.all[kind];
    for (const [name, expected] of [
      ["recall@1", bayes.measured.recallAt1],
      ["recall@5", bayes.measured.recallAt5],
      ["recall@10", bayes.measured.recallAt10],
      ["ndcg@10", bayes.measured.ndcgAt10],
      ["mrr", bayes.measured.mrr],
    ] as const)
      t.true(Math.abs(measured[name]!.mean - expected) < 1e-9, `${kind} ${name}`);
  }

  const share = bayesShare(result, card);
  t.log(share.masked);
  const gap = share.masked["ndcg@10"];
  t.is(gap.bayes, bayes.expected.ndcgAt10);
  t.is(gap.popularity, popularity.masked.expected.ndcgAt10);
  t.is(share.unmasked["recall@10"].popularity, popularity.unmasked.expected.recallAt10);
  t.is(gap.share, (gap.ranker - gap.popularity) / (gap.bayes - gap.popularity));
  t.true(gap.share > 0.7 && gap.share < 1.3, `${gap.share}`);

  const popular = await evaluateRanking(await mostPopular(data, made.train), data, made);
  t.true(Math.abs(bayesShare(popular, card).masked["recall@10"].share) < 0.3);
  refusals(popular, card);

  function refusals(result: RankingResult, card: SyntheticCard): void {
    const refused = (given: RankingResult, of: SyntheticCard, message: RegExp): void => {
      t.throws(() => bayesShare(given, of), { code: "ERR_USAGE", message });
    };
    refused(result, { ...card, options: { ...card.options, seed: 5 } }, /seed 5\).*seed 4\)/);
    refused(result, { ...card, options: { ...card.options, users: 301 } }, /with 301 users/);
    const { lastOut: _, ...without } = card;
    refused(result, without, /has no scores/);
    const { protocol } = result;
    refused(
      { ...result, protocol: { ...protocol, part: "validation" } },
      card,
      /the validation of/,
    );
    const all = { unmasked: {}, masked: {} };
    refused({ ...result, metrics: { all, withoutCold: null } }, card, /has no recall@10/);
  }
});
