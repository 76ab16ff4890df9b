import test from "ava";
import { bayesProbabilities, bayesRanking } from "../../../src/data/synthetic/bayes-ranking.js";
import { Histories } from "../../../src/data/synthetic/histories.js";
import { type SyntheticModel, syntheticModel } from "../../../src/data/synthetic/model.js";
import { TasteFilter } from "../../../src/data/synthetic/taste-filter.js";

/** Two tastes, four genres of items (with and without), histories of up to four events. */
const tinyOptions = {
  preset: "tiny",
  users: 30,
  items: 15,
  events: 135,
  genres: 2,
  shortest: 4,
  homeChange: 0.2,
  moodChange: 0.4,
} as const;

/**
 * The probability of items and ratings together by adding up every path of hidden states and choices, from the
 * definition in docs/synthetic-data.md.
 */
function probabilityByPaths(
  model: SyntheticModel,
  items: readonly number[],
  levels: readonly number[],
): number {
  const { popularity, firstGenre, genreBits, quality, genreShares, shelves } = model.catalogue;
  const { followShare, homeChange, moodChange } = model.parameters;
  const matched = (item: number, taste: number) =>
    firstGenre[item] === taste ? 2 : (genreBits[item]! >> taste) & 1;

  const homeStep = (from: number, to: number) =>
    (1 - homeChange) * Number(from === to) +
    homeChange * (0.5 * Number(to === 1 - from) + 0.5 * genreShares[to]!);
  const moodStep = (from: number, to: number, home: number) =>
    (1 - moodChange) * Number(from === to) +
    moodChange *
      (0.6 * Number(to === home) + 0.2 * Number(to === 1 - from) + 0.2 * genreShares[to]!);
  const ratingChance = (item: number, level: number, mood: number, lenience: number) =>
    [0.03, 0.1, 0.22, 0.3, 0.22, 0.1, 0.03].reduce((sum, chance, i) => {
      const made = [3, 5, 6][matched(item, mood)]! + (lenience - 1) + quality[item]! + (i - 3);
      return sum + (Math.min(9, Math.max(0, made)) === level ? chance : 0);
    }, 0);
  const tasteChance = (t: number, mood: number) => {
    const weight = (item: number) => popularity[item]! * [1, 8, 60][matched(item, mood)]!;
    const unseen = [...popularity.keys()].filter((item) => !items.slice(0, t).includes(item));
    return weight(items[t]!) / unseen.reduce((sum, item) => sum + weight(item), 0);
  };
  /** Undefined where nothing can be followed. */
  const followChance = (t: number) => {
    const last = items[t - 1];
    if (last === undefined) return undefined;
    const shelf = [...shelves[firstGenre[last]!]!];
    const weights = new Map<number, number>();
    for (let ahead = 1; ahead <= 8; ahead++) {
      const item = shelf[shelf.indexOf(last) + ahead];
      if (item !== undefined && !items.slice(0, t).includes(item)) weights.set(item, 1 / ahead);
    }
    if (weights.size === 0) return undefined;
    return (weights.get(items[t]!) ?? 0) / [...weights.values()].reduce((a, b) => a + b);
  };

  const paths = (t: number, home: number, mood: number, lenience: number): number => {
    if (t === items.length) return 1;
    const follow = followChance(t);
    const chosen =
      follow === undefined
        ? tasteChance(t, mood)
        : followShare * follow + (1 - followShare) * tasteChance(t, mood);
    // Of the item that is asked about there is no rating yet.
    const rated = t < levels.length ? ratingChance(items[t]!, levels[t]!, mood, lenience) : 1;
    let rest = 0;
    for (const nextHome of [0, 1])
      for (const nextMood of [0, 1])
        rest +=
          homeStep(home, nextHome) *
          moodStep(mood, nextMood, nextHome) *
          (t + 1 === items.length ? 1 : paths(t + 1, nextHome, nextMood, lenience));
    return chosen * rated * rest;
  };
  let sum = 0;
  for (const [lenience, share] of [0.25, 0.5, 0.25].entries())
    for (const taste of [0, 1])
      sum += share * genreShares[taste]! * paths(0, taste, taste, lenience);
  return sum;
}

test("the filter equals adding up every path of hidden states", async (t) => {
  const model = await syntheticModel(tinyOptions);
  const histories = new Histories(model);
  let followed = 0;
  for (let user = 0; user < model.parameters.users; user++) {
    const history = histories.of(user);
    const filter = new TasteFilter(model);
    for (let known = 0; known < history.length; known++) {
      const items = [...history.items.subarray(0, known)];
      const levels = [...history.levels.subarray(0, known)];
      const past = known === 0 ? 1 : probabilityByPaths(model, items, levels);
      const predicted = filter.predict();
      for (let next = 0; next < model.parameters.items; next++) {
        const exact = items.includes(next)
          ? 0
          : probabilityByPaths(model, [...items, next], levels) / past;
        t.true(Math.abs(predicted[next]! - exact) < 1e-12, `user ${user}, event ${known}`);
      }
      const last = history.items[known]!;
      if (items.at(-1) === last - 1) followed++;
      filter.observe(last, history.levels[known]!);
    }
  }
  t.true(followed > 0);
});

/** Enough events for every item to be learnt. */
const mediumOptions = { preset: "tiny", seed: 2, users: 1500, items: 400, events: 90_000 } as const;

test("predicted probabilities are calibrated: such events happen as often as they say", async (t) => {
  const model = await syntheticModel(mediumOptions);
  const histories = new Histories(model);
  const filter = new TasteFilter(model);
  const probabilities = new Float64Array(model.parameters.items);
  const bins = Array.from({ length: 20 }, () => ({ expected: 0, variance: 0, happened: 0 }));
  const moods = Array.from({ length: 10 }, () => ({ expected: 0, variance: 0, happened: 0 }));
  const count = (bin: (typeof bins)[number], chance: number, happened: boolean) => {
    bin.expected += chance;
    bin.variance += chance * (1 - chance);
    if (happened) bin.happened++;
  };
  for (let user = 0; user < 300; user++) {
    const history = histories.of(user);
    filter.reset();
    for (let at = 0; at < history.length; at++) {
      filter.predict(probabilities);
      probabilities.forEach((chance, item) => {
        if (chance > 0)
          count(
            bins[Math.min(19, Math.floor(-2 * Math.log2(chance)))]!,
            chance,
            item === history.items[at],
          );
      });
      filter.moods().forEach((chance, mood) => {
        count(moods[Math.min(9, Math.floor(10 * chance))]!, chance, mood === history.moods[at]);
      });
      filter.observe(history.items[at]!, history.levels[at]!);
    }
  }
  for (const { expected, variance, happened } of [...bins, ...moods])
    t.true(
      Math.abs(happened - expected) <= 4 * Math.sqrt(variance) + 1e-9,
      `${happened} happened, ${expected.toFixed(1)} were expected`,
    );
});

test("no other parameters explain the data better", async (t) => {
  const model = await syntheticModel(mediumOptions);
  const { parameters } = model;
  const histories = new Histories(model);
  const logLikelihoods = (filter: TasteFilter, rated: boolean) => {
    const sums: number[] = [];
    for (let user = 0; user < 200; user++) {
      const { items, levels, length } = histories.of(user);
      filter.reset();
      let sum = 0;
      for (let at = 0; at < length; at++) {
        sum += Math.log(filter.predict()[items[at]!]!);
        filter.observe(items[at]!, rated ? levels[at]! : 5);
      }
      sums.push(sum);
    }
    return sums;
  };
  const right = logLikelihoods(new TasteFilter(model), true);
  const wrong = {
    "a rarer change of mood": { moodChange: 0.06 },
    "a more frequent change of mood": { moodChange: 0.24 },
    "a home that never changes": { homeChange: 0 },
    "a home that changes often": { homeChange: 0.1 },
    "less following": { followShare: 0.25 },
    "more following": { followShare: 0.45 },
  };
  const margins = Object.entries(wrong).map(([name, change]) => {
    const other = new TasteFilter({ ...model, parameters: { ...parameters, ...change } });
    return [name, logLikelihoods(other, true)] as const;
  });
  margins.push(["ratings unread", logLikelihoods(new TasteFilter(model), false)]);
  for (const [name, other] of margins) {
    const gains = right.map((sum, user) => sum - other[user]!);
    const mean = gains.reduce((a, b) => a + b) / gains.length;
    const variance = gains.reduce((sum, gain) => sum + (gain - mean) ** 2, 0) / gains.length;
    const margin = mean / Math.sqrt(variance / gains.length);
    t.log(`${name}: ${mean.toFixed(2)} nats a user, ${margin.toFixed(1)} standard errors`);
    t.true(margin > 3, name);
  }
});

test("the best ranking beats popularity, the last item's genre and what followed in other histories", async (t) => {
  const model = await syntheticModel(mediumOptions);
  const { items, users } = model.parameters;
  const { popularity, firstGenre } = model.catalogue;
  const histories = new Histories(model);
  const counts = new Float64Array(items);
  const followed = Array.from({ length: items }, () => new Float64Array(items));
  for (let user = 0; user < users; user++) {
    const history = histories.of(user);
    for (let at = 0; at < history.length - 1; at++) {
      counts[history.items[at]!]!++;
      if (at > 0) followed[history.items[at - 1]!]![history.items[at]!]!++;
    }
  }
  const rankings: Record<string, (last: number) => (item: number) => number> = {
    popularity: () => (item) => counts[item]!,
    "genre of the last item": (last) => (item) =>
      popularity[item]! * (firstGenre[item] === firstGenre[last] ? 60 : 1),
    "what followed the last item": (last) => (item) => followed[last]![item]! + counts[item]! / 1e6,
  };
  const hits: Record<string, number> = { best: 0 };
  const tested = 600;
  for (let user = 0; user < tested; user++) {
    const history = histories.of(user);
    const last = history.length - 1;
    const past = Array.from({ length: last }, (_, at) => ({
      item: history.items[at]!,
      rating: (history.levels[at]! + 1) / 2,
    }));
    const target = history.items[last]!;
    if (bayesRanking(model, past).indexOf(target) < 10) hits.best!++;
    const seen = new Set(past.map(({ item }) => item));
    for (const [name, of] of Object.entries(rankings)) {
      const score = of(history.items[last - 1]!);
      const better = [...counts.keys()].filter(
        (item) => !seen.has(item) && item !== target && score(item) >= score(target),
      );
      hits[name] ??= 0;
      if (better.length < 10) hits[name]++;
    }
  }
  t.log(Object.entries(hits).map(([name, count]) => `${name} ${(count / tested).toFixed(3)}`));
  for (const name of Object.keys(rankings))
    t.true(hits.best! > hits[name]! + 3 * Math.sqrt(tested * 0.25), name);
});

test("the best ranking is that of its probabilities, and refuses what is no history", async (t) => {
  const model = await syntheticModel({ preset: "tiny" });
  const past = [
    { item: 5, rating: 4 },
    { item: 77, rating: 0.5 },
  ];
  const probabilities = bayesProbabilities(model, past);
  const ranked = bayesRanking(model, past);
  t.true(Math.abs(probabilities.reduce((a, b) => a + b) - 1) < 1e-12);
  t.is(new Set(ranked).size, model.parameters.items);
  t.true(
    ranked.every((item, i) => i === 0 || probabilities[item]! <= probabilities[ranked[i - 1]!]!),
  );
  t.deepEqual([...ranked.subarray(-2)].sort(), [5, 77]);
  for (const [wrong, message] of [
    [[{ item: 200, rating: 4 }], /whole numbers below 200, each at most once, got 200/],
    [[{ item: 1.5, rating: 4 }], /got 1.5/],
    [[...past, past[0]!], /at most once, got 5/],
    [[{ item: 0, rating: 4.2 }], /ratings must be 0.5, 1, ..., 5, got 4.2/],
  ] as const)
    t.throws(() => bayesRanking(model, wrong), { code: "ERR_USAGE", message });
});
