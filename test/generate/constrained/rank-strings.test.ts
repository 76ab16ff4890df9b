/** Rankings of strings by a language model, against every string computed whole. */
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { UsageError } from "../../../src/errors.js";
import {
  type BeforeLayer,
  catalogueTrie,
  LanguageModel,
  measureBeams,
  type RankStringsOptions,
  rankStrings,
  rankTargetStrings,
  type StringRanking,
  TokenTrie,
} from "../../../src/generate/index.js";
import { add, full } from "../../../src/ops/index.js";
import { keep, memory, tensor, tidy } from "../../../src/tensor/index.js";
import { testModel } from "../../tokenizers/real-model.js";
import {
  decoderOf,
  end,
  kinds,
  randomNumbers,
  randomPrompts,
  randomStrings,
  scoresByDefinition,
} from "./random-catalogue.js";

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => {
  t.is(memory().tensors, before, "tensors leaked");
});

/** Rounding of sums in float32, in another order. */
const tolerance = 2e-4;

function sameRanking(
  t: ExecutionContext,
  { strings }: Pick<StringRanking, "strings">,
  scores: readonly number[],
  k: number,
  excluded: ReadonlySet<number> = new Set(),
): void {
  const wanted = [...scores.keys()]
    .filter((string) => !excluded.has(string))
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, k);
  t.is(strings.length, wanted.length);
  for (const [i, { string, score }] of strings.entries()) {
    t.true(Math.abs(score - scores[string]!) < tolerance, `score of string ${string}`);
    // What is so close may be swapped.
    if (string !== wanted[i])
      t.true(Math.abs(scores[string]! - scores[wanted[i]!]!) < tolerance, `place ${i}`);
    t.false(excluded.has(string));
    const last = strings[i - 1];
    if (last) t.true(last.score > score || (last.score === score && last.string < string));
  }
  t.is(new Set(strings.map(({ string }) => string)).size, strings.length);
}

for (const [name, options] of Object.entries(kinds))
  for (const seed of [1, 2, 3])
    test.serial(`exact is brute force, seed ${seed}: ${name}`, async (t) => {
      using decoder = decoderOf(options, seed);
      const strings = randomStrings(320, seed);
      const trie = await TokenTrie.build(strings, { end });
      const prompts = randomPrompts(5, seed);
      const rankings = await rankStrings(decoder, prompts, trie, { k: 12 });
      const targets = prompts.map((_, i) => (31 * i + seed) % 320);
      const ranks = await rankTargetStrings(decoder, prompts, trie, targets);
      for (const [i, prompt] of prompts.entries()) {
        const scores = await scoresByDefinition(decoder, prompt, strings);
        t.true(rankings[i]!.exact);
        t.true(rankings[i]!.nodes < trie.nodes);
        sameRanking(t, rankings[i]!, scores, 12);
        const { rank, score, exact } = ranks[i]!;
        t.true(exact);
        t.true(Math.abs(score - scores[targets[i]!]!) < tolerance);
        const better = (least: number) => scores.filter((other) => other >= least).length;
        t.true(rank >= better(score + tolerance) && rank <= better(score - tolerance));
      }
    });

const sizes: RankStringsOptions[] = [
  { promptsAtOnce: 1, nodesAtOnce: 1 },
  { promptsAtOnce: 2, nodesAtOnce: 7 },
  { promptsAtOnce: 9, nodesAtOnce: 500 },
];
test.serial("who else is searched for changes nothing", async (t) => {
  using decoder = decoderOf(kinds["rotary, grouped heads"]!, 5);
  const strings = randomStrings(300, 5);
  const trie = await TokenTrie.build(strings, { end });
  const prompts = randomPrompts(9, 5);
  const wanted = await rankStrings(decoder, prompts, trie, { k: 5 });
  // Room for a few searches at a time; some are set back and begin again.
  using cache = decoder.newRowCache();
  const most = Math.max(...wanted.map(({ nodes }) => nodes));
  const maxBytes = cache.bytesPerRow * (most + 40);
  for (const options of [...sizes, { maxBytes }, { maxBytes, nodesAtOnce: 9 }]) {
    const rankings = await rankStrings(decoder, prompts, trie, { k: 5, ...options });
    for (const [i, { strings, exact }] of rankings.entries()) {
      t.true(exact);
      t.deepEqual(
        strings.map(({ string }) => string),
        wanted[i]!.strings.map(({ string }) => string),
      );
      for (const [place, { score }] of strings.entries())
        t.true(Math.abs(score - wanted[i]!.strings[place]!.score) < tolerance);
    }
  }
});

test.serial("a search that reaches a limit says so", async (t) => {
  using decoder = decoderOf(kinds["rotary, grouped heads"]!, 6);
  const strings = randomStrings(300, 6);
  const trie = await TokenTrie.build(strings, { end });
  const prompts = randomPrompts(3, 6);
  const whole = await rankStrings(decoder, prompts, trie, { k: 20 });
  using cache = decoder.newRowCache();
  const longest = Math.max(...prompts.map(({ length }) => length));
  const maxBytes = cache.bytesPerRow * (longest + trie.depth);
  for (const limits of [{ maxNodes: 9 }, { maxBytes }]) {
    const rankings = await rankStrings(decoder, prompts, trie, { k: 20, ...limits });
    t.true(rankings.some(({ exact }) => !exact));
    for (const [i, { strings: found, exact, nodes }] of rankings.entries()) {
      const scores = await scoresByDefinition(decoder, prompts[i]!, strings);
      if (exact) sameRanking(t, { strings: found }, scores, 20);
      else t.true(nodes < whole[i]!.nodes);
      if ("maxNodes" in limits) t.is(nodes, 9);
      // What was found is found with its score.
      for (const { string, score } of found) t.true(Math.abs(score - scores[string]!) < tolerance);
    }
  }
  const [enough] = await rankStrings(decoder, prompts.slice(0, 1), trie, {
    ...{ k: 20, maxNodes: whole[0]!.nodes, nodesAtOnce: 1, promptsAtOnce: 1 },
  });
  t.true(enough!.exact);
});

test.serial("strings are left out, also all of those that begin alike", async (t) => {
  using decoder = decoderOf(kinds["windows, soft caps"]!, 7);
  const strings = randomStrings(300, 7);
  const trie = await TokenTrie.build(strings, { end });
  const prompts = randomPrompts(4, 7);
  const random = randomNumbers(7);
  const excluded = prompts.map((_, i) => {
    const first = strings[0]![0];
    const alike = [...strings.keys()].filter((string) => strings[string]![0] === first);
    return i === 0 ? [] : [...alike, ...Array.from({ length: 80 * i }, () => random(300))];
  });
  const rankings = await rankStrings(decoder, prompts, trie, { k: 30, excluded });
  const best = rankings.map((ranking) => ranking.strings[0]!.string);
  const ranks = await rankTargetStrings(decoder, prompts, trie, best, { excluded });
  t.deepEqual(
    ranks.map(({ rank }) => rank),
    best.map((string) => Math.max(1, sameAs(strings, string, excluded[best.indexOf(string)]!))),
  );
  for (const [i, prompt] of prompts.entries()) {
    const scores = await scoresByDefinition(decoder, prompt, strings);
    sameRanking(t, rankings[i]!, scores, 30, new Set(excluded[i]));
  }
  const [none] = await rankStrings(decoder, prompts.slice(0, 1), trie, {
    excluded: [strings.map((_, string) => string)],
  });
  t.deepEqual(none!.strings, []);
  t.true(none!.exact);
});

/** Strings that are the same as one, itself included, without those left out. */
function sameAs(
  strings: readonly Int32Array[],
  string: number,
  excluded: readonly number[],
): number {
  const text = strings[string]!.join();
  return strings.filter((other, i) => other.join() === text && !excluded.includes(i)).length;
}

test.serial("all strings are ranked where k is larger; equal ones by index", async (t) => {
  using decoder = decoderOf(kinds["learned positions, tied"]!, 8);
  const strings = [[3, 4], [5], [3, 4], [3], [5, 6, 7]].map((ids) => Int32Array.from(ids));
  const trie = await TokenTrie.build(strings, { end });
  const [prompt] = randomPrompts(1, 8);
  const [ranking] = await rankStrings(decoder, [prompt!], trie, { k: 9 });
  t.true(ranking!.exact);
  sameRanking(t, ranking!, await scoresByDefinition(decoder, prompt!, strings), 9);
  const places = ranking!.strings.map(({ string }) => string);
  t.is(places.indexOf(2), places.indexOf(0) + 1);
  const [rank] = await rankTargetStrings(decoder, [prompt!], trie, [0]);
  t.is(rank!.rank, places.indexOf(0) + 2, "the same string counts against it");
  t.deepEqual(await rankStrings(decoder, [], trie), []);
});

test.serial("ranks beyond what matters end early", async (t) => {
  using decoder = decoderOf(kinds["rotary, grouped heads"]!, 9);
  const strings = randomStrings(400, 9);
  const trie = await TokenTrie.build(strings, { end });
  const prompts = randomPrompts(3, 9);
  const all = await rankStrings(decoder, prompts, trie, { k: 400 });
  for (const place of [0, 3, 4, 5, 300]) {
    const targets = all.map(({ strings }) => strings[place]!.string);
    const whole = await rankTargetStrings(decoder, prompts, trie, targets);
    const capped = await rankTargetStrings(decoder, prompts, trie, targets, { maxRank: 5 });
    for (const [i, { rank, score, nodes }] of capped.entries()) {
      t.is(rank, Math.min(6, whole[i]!.rank));
      t.true(Math.abs(score - whole[i]!.score) < tolerance);
      if (place === 300) t.true(nodes < whole[i]!.nodes / 2);
    }
  }
});

test.serial("beams: enough of them are exact, few are measured", async (t) => {
  using decoder = decoderOf(kinds["rotary, grouped heads"]!, 10);
  const strings = randomStrings(300, 10);
  const trie = await TokenTrie.build(strings, { end });
  const prompts = randomPrompts(4, 10);
  const exact = await rankStrings(decoder, prompts, trie, { k: 7 });
  const strip = (rankings: readonly StringRanking[]) =>
    rankings.map(({ strings, exact }) => [strings.map(({ string }) => string), exact]);
  const beams = await rankStrings(decoder, prompts, trie, { k: 7, mode: "beam", beams: 300 });
  t.deepEqual(strip(beams), strip(exact));
  t.deepEqual(await measureBeams(decoder, prompts, trie, { k: 7, beams: 300 }), {
    ...{ missed: 0, complete: 1 },
    nodes: {
      exact: exact.reduce((sum, { nodes }) => sum + nodes, 0) / 4,
      beam: beams.reduce((sum, { nodes }) => sum + nodes, 0) / 4,
    },
  });
  const one = await rankStrings(decoder, prompts, trie, { k: 7, mode: "beam", beams: 1 });
  t.true(one.some((ranking) => !ranking.exact));
  for (const [i, { strings, exact: certain }] of one.entries())
    if (certain) t.deepEqual(strings, exact[i]!.strings);
  const { missed, complete, nodes } = await measureBeams(decoder, prompts, trie, {
    k: 7,
    beams: 1,
  });
  const found = one.map(({ strings }, i) => {
    const names = strings.map(({ string }) => string);
    return exact[i]!.strings.filter(({ string }) => !names.includes(string)).length;
  });
  t.is(missed, found.reduce((a, b) => a + b) / 28);
  t.true(missed > 0 && complete < 1 && nodes.beam < nodes.exact);
});

test.serial("soft tokens and layers in between belong to their prompts", async (t) => {
  using decoder = decoderOf(kinds["rotary, grouped heads"]!, 11);
  const strings = randomStrings(60, 11);
  const trie = await TokenTrie.build(strings, { end });
  const ids = randomPrompts(5, 11);
  const plain = await rankStrings(decoder, ids, trie, { k: 5 });
  // A prefix of the embeddings of the first tokens is as good as the tokens.
  const prefixes = ids.map((prompt) =>
    keep(tidy(() => decoder.embed(tensor(prompt.slice(0, -1))))),
  );
  const soft = await rankStrings(
    decoder,
    ids.map((prompt, i) => ({ ids: prompt.slice(-1), prefix: prefixes[i]! })),
    trie,
    { k: 5 },
  );
  const half = await rankStrings(
    decoder,
    ids.map((ids, i) => (i % 2 ? ids : { ids: ids.slice(-1), prefix: prefixes[i]! })),
    trie,
    { k: 5 },
  );
  for (const prefix of prefixes) prefix.dispose();
  for (const [i, { strings }] of plain.entries())
    for (const other of [soft, half])
      t.deepEqual(
        other[i]!.strings.map(({ string }) => string),
        strings.map(({ string }) => string),
      );

  // What a layer adds to a prompt is what it adds when that prompt is alone.
  const shifts = (number: (sequence: number) => number): BeforeLayer => {
    return (x, layer, { counts, sequences }) => {
      if (layer !== 1) return x;
      const rows = sequences.flatMap((sequence, i) =>
        new Array<number>(counts[i]!).fill(Math.sin(number(sequence))),
      );
      return add(x, tensor(Float32Array.from(rows), { shape: [rows.length, 1] }));
    };
  };
  const shifted = await rankStrings(decoder, ids, trie, { k: 5, beforeLayer: shifts((i) => i) });
  t.notDeepEqual(
    shifted.map(({ strings }) => strings.map(({ string }) => string)),
    plain.map(({ strings }) => strings.map(({ string }) => string)),
  );
  for (const [i, prompt] of ids.entries()) {
    const beforeLayer = shifts(() => i);
    const [alone] = await rankStrings(decoder, [prompt], trie, { k: 5, beforeLayer });
    for (const [place, { string, score }] of shifted[i]!.strings.entries()) {
      t.is(string, alone!.strings[place]!.string);
      t.true(Math.abs(score - alone!.strings[place]!.score) < tolerance);
    }
  }
});

test.serial("what does not fit is refused before anything is computed", async (t) => {
  using decoder = decoderOf(kinds["learned positions, tied"]!, 12);
  const trie = await TokenTrie.build([Int32Array.of(3, 4)], { end });
  const foreign = await TokenTrie.build([Int32Array.of(99)], { end });
  const refused = async (message: RegExp, run: () => Promise<unknown>) => {
    const error = await t.throwsAsync(run, { instanceOf: UsageError });
    t.regex(error?.message ?? "", message);
  };
  const rank = (prompts: number[][], options: RankStringsOptions = {}) =>
    rankStrings(decoder, prompts, trie, options);
  await refused(/prompts\[1\] has no tokens/, () => rank([[1], []]));
  await refused(/prompts\[0\] has the token 29/, () => rank([[29]]));
  await refused(/prompts\[0\] has the token -1/, () => rank([[-1]]));
  await refused(/have 49 tokens, more than the 48 positions/, () =>
    rank([new Array<number>(47).fill(1)]),
  );
  await refused(/the trie has the token 99/, () => rankStrings(decoder, [[1]], foreign));
  await refused(/k must be a whole number from 1, got 0/, () => rank([[1]], { k: 0 }));
  await refused(/beams must be/, () => rank([[1]], { mode: "beam", beams: 1.5 }));
  await refused(/mode must be "exact" or "beam"/, () => rank([[1]], { mode: "best" as "beam" }));
  await refused(/nodesAtOnce must be/, () => rank([[1]], { nodesAtOnce: 0 }));
  await refused(/maxNodes must be/, () => rank([[1]], { maxNodes: 0 }));
  await refused(/maxBytes 600 has room for/, () => rank([[1, 2]], { maxBytes: 600 }));
  await refused(/excluded must be one list for each of 1 prompts, got 2/, () =>
    rank([[1]], { excluded: [[], []] }),
  );
  await refused(/excluded: 1 is not one of 1 strings/, () => rank([[1]], { excluded: [[1]] }));
  await refused(/targets must be one for each of 1 prompts, got 0/, () =>
    rankTargetStrings(decoder, [[1]], trie, []),
  );
  await refused(/1 is not one of 1 strings/, () => rankTargetStrings(decoder, [[1]], trie, [1]));
  decoder.norm.weight.replace(tidy(() => full([16], Number.NaN)));
  await refused(/prompts\[0\]: the model's log-probabilities are not numbers/, () => rank([[1]]));
});

test.serial("a search can be aborted, and tells how far it is", async (t) => {
  using decoder = decoderOf(kinds["rotary, grouped heads"]!, 13);
  const trie = await TokenTrie.build(randomStrings(300, 13), { end });
  const prompts = randomPrompts(6, 13);
  const seen: number[] = [];
  await rankStrings(decoder, prompts, trie, {
    promptsAtOnce: 2,
    onProgress: ({ done, total }) => {
      seen.push(done);
      t.is(total, 6);
    },
  });
  t.is(seen.at(-1), 6);
  t.deepEqual(
    seen,
    [...seen].sort((a, b) => a - b),
  );
  const controller = new AbortController();
  const stopped = rankStrings(decoder, prompts, trie, {
    promptsAtOnce: 2,
    signal: controller.signal,
    onProgress: () => controller.abort(new Error("enough")),
  });
  await t.throwsAsync(stopped, { message: "enough" });
});

test.serial("however little room there is, what is called exact is", async (t) => {
  using decoder = decoderOf(kinds["windows, soft caps"]!, 14);
  const strings = randomStrings(120, 14);
  const trie = await TokenTrie.build(strings, { end });
  const prompts = randomPrompts(6, 14);
  const scores: number[][] = [];
  for (const prompt of prompts) scores.push(await scoresByDefinition(decoder, prompt, strings));
  using cache = decoder.newRowCache();
  const least = Math.max(...prompts.map(({ length }) => length)) + trie.depth;
  let exactOnes = 0;
  let others = 0;
  const counts = fc.record({
    k: fc.integer({ min: 1, max: 30 }),
    promptsAtOnce: fc.integer({ min: 1, max: 6 }),
    nodesAtOnce: fc.integer({ min: 1, max: 40 }),
    rows: fc.integer({ min: least, max: least + 150 }),
    excluded: fc.array(fc.integer({ min: 0, max: 119 }), { maxLength: 30 }),
  });
  const property = fc.asyncProperty(counts, async ({ rows, excluded, ...options }) => {
    const rankings = await rankStrings(decoder, prompts, trie, {
      ...options,
      excluded: prompts.map(() => excluded),
      maxBytes: rows * cache.bytesPerRow,
    });
    for (const [i, ranking] of rankings.entries()) {
      if (ranking.exact) sameRanking(t, ranking, scores[i]!, options.k, new Set(excluded));
      if (ranking.exact) exactOnes++;
      else others++;
    }
  });
  await fc.assert(property, { numRuns: 30, seed: 1 });
  t.true(exactOnes > 30 && others > 10, `${exactOnes} exact, ${others} not`);
});

testModel("a real model ranks sentences", "tinystories-instruct-3m-hf", async (t, folder) => {
  using model = await LanguageModel.load(folder);
  const { decoder, tokenizer } = model;
  const who = ["little girl", "big dog", "red ball", "old man", "bird", "quantum field"];
  const what = ["", " ran", " ran home", " was very happy", " and her mom went to the park"];
  const titles = who.flatMap((name) => what.map((more) => `the ${name}${more}`));
  const trie = await catalogueTrie(titles, tokenizer, { context: "saw" });
  const prompts = ["One day, Lily saw", "Once upon a time, Tom saw"].map((text) =>
    tokenizer.encode(text),
  );
  const rankings = await rankStrings(decoder, prompts, trie, { k: 30 });
  for (const [i, prompt] of prompts.entries()) {
    const strings = titles.map((title) => tokenizer.encode(` ${title}`, { specialTokens: false }));
    const scores = await scoresByDefinition(decoder, prompt, strings, trie.end);
    sameRanking(t, rankings[i]!, scores, 30);
  }
  for (const { strings, exact } of rankings) {
    t.true(exact);
    const places = new Map(strings.map(({ string }, place) => [titles[string]!, place]));
    t.true(places.get("the bird")! < places.get("the quantum field")!);
  }
});
