import test from "ava";
import fc from "fast-check";
import { UsageError } from "../../src/errors.js";
import {
  type GenerateOptions,
  type Generation,
  type GenerationChunk,
  generate,
  generateStream,
  type LanguageModel,
} from "../../src/generate/index.js";
import { logSoftmax, noGrad } from "../../src/ops/index.js";
import { memory, tensor, tidy } from "../../src/tensor/index.js";
import { tinyModel } from "./tiny-model.js";

let model: LanguageModel;
let before = 0;
test.before(async () => {
  model = await tinyModel();
  // The decoder keeps its table of rotations: made once, for the longest sequence.
  await generate(model, new Int32Array(95), { maxNewTokens: 1 });
});
test.after.always(() => model.dispose());
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

const prompts = ["the cat", "a", "naïve 你好 and the other cat sat on the hat, there", "sat"];

/** Log-probabilities of what follows, computed from the beginning, without a cache. */
async function distribution(ids: readonly number[]): Promise<number[]> {
  const { decoder } = model;
  const all = tidy(() =>
    noGrad(() =>
      logSoftmax(decoder.forward(tensor(Int32Array.from(ids)), { counts: [ids.length] })),
    ),
  );
  const values = [...(await all.data())];
  all.dispose();
  return values.slice(-decoder.options.vocabulary);
}

const largest = (values: readonly number[]): number => values.indexOf(Math.max(...values));

async function collect(
  stream: AsyncGenerator<GenerationChunk, Generation>,
): Promise<{ chunks: GenerationChunk[]; result: Generation }> {
  const chunks: GenerationChunk[] = [];
  for (;;) {
    const { done, value } = await stream.next();
    if (done) return { chunks, result: value };
    chunks.push(value);
  }
}

test.serial("greedy tokens are the most probable ones, as computed without a cache", async (t) => {
  const asked = { logProbabilities: true, topLogProbabilities: 3 };
  const results = await generate(model, prompts, { maxNewTokens: 12, endTokens: [], ...asked });
  for (const [i, { ids, logProbabilities, topLogProbabilities, ...rest }] of results.entries()) {
    const sequence = [...model.tokenizer.encode(prompts[i]!)];
    t.is(rest.promptTokens, sequence.length);
    t.is(rest.reason, "length");
    t.is(ids.length, 12);
    t.true(new Set(ids).size > 3);
    for (const [k, id] of ids.entries()) {
      const expected = await distribution(sequence);
      t.is(id, largest(expected));
      t.true(Math.abs(logProbabilities![k]! - expected[id]!) < 1e-3);
      const top = [...expected.keys()].sort((a, b) => expected[b]! - expected[a]!).slice(0, 3);
      t.deepEqual(
        topLogProbabilities![k]!.map(({ id }) => id),
        top,
      );
      for (const { id, logProbability } of topLogProbabilities![k]!)
        t.true(Math.abs(logProbability - expected[id]!) < 1e-3);
      sequence.push(id);
    }
    t.is(prompts[i] + rest.text, model.tokenizer.decode(sequence));
  }
});

for (const [name, options] of Object.entries<GenerateOptions>({
  greedy: {},
  "greedy, with a penalty": { repetitionPenalty: 1.3 },
  "two at a time": { batchSize: 2 },
}))
  test.serial(`prompts beside each other are answered as each alone: ${name}`, async (t) => {
    // Ends at different places: the end tokens are what the answers have early, late and never.
    const free = await generate(model, prompts, { ...options, maxNewTokens: 20, endTokens: [] });
    const endTokens = [free[0]!.ids[2]!, free[1]!.ids[9]!];
    const settings = { ...options, maxNewTokens: 20, endTokens };
    const together = await generate(model, prompts, settings);
    t.true(new Set(together.map(({ ids }) => ids.length)).size > 1);
    for (const [i, prompt] of prompts.entries())
      t.deepEqual(await generate(model, prompt, settings), [together[i]!]);
  });

test.serial("ids and conversations are prompts, too", async (t) => {
  const [text] = await generate(model, "the cat", { maxNewTokens: 3 });
  const ids = model.tokenizer.encode("the cat");
  t.deepEqual(await generate(model, ids, { maxNewTokens: 3 }), [text!]);
  t.deepEqual(await generate(model, [ids, "the cat"], { maxNewTokens: 3 }), [text!, text!]);
  t.deepEqual(await generate(model, []), []);
  await t.throwsAsync(generate(model, [{ role: "user", content: "hello" }]), {
    instanceOf: UsageError,
    message: /has no chat template/,
  });
});

test.serial("an answer ends at an end token, which its text is without", async (t) => {
  const [free] = await generate(model, "the cat", { maxNewTokens: 12, endTokens: [] });
  const { ids } = free!;
  const last = ids.findIndex((id, i) => i >= 4 && ids.indexOf(id) === i);
  const [ended] = await generate(model, "the cat", { endTokens: [ids[last]!] });
  t.is(ended!.reason, "stop");
  t.deepEqual(ended!.ids, ids.slice(0, last + 1));
  const sequence = [...model.tokenizer.encode("the cat"), ...ids.slice(0, last)];
  t.is(`the cat${ended!.text}`, model.tokenizer.decode(sequence));
});

test.serial("the pieces of a stream are the answer", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...prompts),
      fc.nat(2 ** 31),
      fc.integer({ min: 1, max: 30 }),
      fc.array(fc.constantFrom("e", "th", "ca", "\uFFFD", " 你", "zzz"), { maxLength: 2 }),
      async (prompt, seed, maxNewTokens, stop) => {
        const options = { temperature: 1.3, seed, maxNewTokens, stop, logProbabilities: true };
        const [whole] = await generate(model, prompt, options);
        const { chunks, result } = await collect(generateStream(model, prompt, options));
        t.deepEqual(result, whole);
        t.is(chunks.map(({ text }) => text).join(""), whole!.text);
        t.deepEqual(
          chunks.flatMap(({ ids }) => ids),
          [...whole!.ids],
        );
        t.deepEqual(
          chunks.flatMap(({ logProbabilities }) => logProbabilities!),
          whole!.logProbabilities,
        );
        t.true(chunks.slice(0, -1).every(({ text }) => text !== ""));
        for (const each of stop) t.false(whole!.text.includes(each));
      },
    ),
    { numRuns: 30 },
  );
});

test.serial("a stop string across tokens ends an answer before it", async (t) => {
  const [free] = await generate(model, "the cat", { maxNewTokens: 20, endTokens: [] });
  const { text, ids } = free!;
  t.true(text.length > 8);
  for (let at = 1; at + 4 < text.length; at += 3) {
    const stop = text.slice(at, at + 4);
    const options = { maxNewTokens: 20, endTokens: [], stop: ["never", stop] };
    const [stopped] = await generate(model, "the cat", options);
    t.is(stopped!.reason, "stop-string");
    t.is(stopped!.text, text.slice(0, text.indexOf(stop)));
    t.deepEqual(stopped!.ids, ids.slice(0, stopped!.ids.length));
  }
});

test.serial("the best of one is greedy, and so is a temperature of 0", async (t) => {
  const greedy = await generate(model, prompts, { maxNewTokens: 8 });
  t.deepEqual(await generate(model, prompts, { maxNewTokens: 8, topK: 1 }), greedy);
  const cold = { maxNewTokens: 8, temperature: 0, topP: 0.5 };
  t.deepEqual(await generate(model, prompts, cold), greedy);
});

test.serial("what is drawn depends on seed and place alone", async (t) => {
  const options = { temperature: 1, maxNewTokens: 10, seed: 7 };
  const all = await generate(model, prompts, options);
  t.deepEqual(await generate(model, prompts, { ...options, batchSize: 3 }), all);
  t.deepEqual(await generate(model, prompts.slice(0, 2), options), all.slice(0, 2));
  // Others that end sooner or later change nothing.
  const ending = { ...options, endTokens: [all[0]!.ids[1]!] };
  const ended = await generate(model, prompts, ending);
  t.true(ended[0]!.ids.length <= 2);
  for (const [i, { ids }] of ended.entries()) t.deepEqual(ids, all[i]!.ids.slice(0, ids.length));
  t.notDeepEqual(await generate(model, prompts, { ...options, seed: 8 }), all);
  const twice = await generate(model, ["a", "a"], options);
  t.notDeepEqual(twice[0], twice[1]);
});

test.serial("tokens come as often as they are probable", async (t) => {
  const draws = 3000;
  const ids = model.tokenizer.encode("the cat");
  const expected = (await distribution([...ids])).map(Math.exp);
  const results = await generate(model, new Array<Int32Array>(draws).fill(ids), {
    ...{ temperature: 1, seed: 3, maxNewTokens: 1, batchSize: 500, endTokens: [] },
  });
  const counts = new Array<number>(expected.length).fill(0);
  for (const { ids } of results) counts[ids[0]!]! += 1;
  // Tokens that are expected less than 10 times are one class.
  const classes = [...expected.keys()].filter((id) => expected[id]! * draws >= 10);
  t.true(classes.length > 5);
  let [rest, restProbability, statistic] = [draws, 1, 0];
  for (const id of classes) {
    statistic += (counts[id]! - expected[id]! * draws) ** 2 / (expected[id]! * draws);
    rest -= counts[id]!;
    restProbability -= expected[id]!;
  }
  statistic += (rest - restProbability * draws) ** 2 / (restProbability * draws);
  const degrees = classes.length;
  t.true(statistic < degrees + 5 * Math.sqrt(2 * degrees), `χ² ${statistic} of ${degrees}`);
});

test.serial("an aborted signal ends it, and nothing stays", async (t) => {
  const reason = new Error("enough");
  for (const at of [0, 1, 5]) {
    const controller = new AbortController();
    let steps = 0;
    const stop = (): void => {
      if (++steps === at) controller.abort(reason);
    };
    if (at === 0) controller.abort(reason);
    const options = { signal: controller.signal, onProgress: stop, endTokens: [] };
    const drawing = { ...options, temperature: 1, repetitionPenalty: 1.2 };
    t.is(await t.throwsAsync(generate(model, prompts, drawing)), reason);
    t.is(memory().tensors, before);
    t.is(steps, at);
  }
});

test.serial("beam search ends at an aborted signal, too", async (t) => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const onProgress = ({ done }: { done: number }): void => {
    if (done === 3) controller.abort(reason);
  };
  const options = { beams: 3, repetitionPenalty: 1.2, signal: controller.signal, onProgress };
  t.is(await t.throwsAsync(generate(model, prompts, options)), reason);
  t.is(memory().tensors, before);
});

test.serial("timers get their turn between steps", async (t) => {
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 0);
  await generate(model, prompts, { maxNewTokens: 60, endTokens: [] });
  clearInterval(timer);
  t.true(turns > 5, `${turns}`);
});

test.serial("breaking out of a stream leaves nothing behind", async (t) => {
  for await (const { text } of generateStream(model, "the cat", { temperature: 1, seed: 1 })) {
    t.not(text, "");
    break;
  }
  t.is(memory().tensors, before);
});

test.serial("an answer ends where the positions end", async (t) => {
  const ids = Int32Array.from({ length: 90 }, (_, i) => 2 + i);
  const [answer] = await generate(model, ids, { endTokens: [] });
  t.is(answer!.ids.length, 6);
  t.is(answer!.reason, "length");
  const full = Int32Array.from({ length: 96 }, (_, i) => 2 + i);
  await t.throwsAsync(generate(model, ["a", full]), {
    instanceOf: UsageError,
    message:
      "generate: prompt 1 has 96 tokens; the model has 96 positions, and at least one must be left for the answer",
  });
});

for (const [options, message] of [
  [{ maxNewTokens: 0 }, /maxNewTokens must be a whole number from 1/],
  [{ temperature: -1 }, /temperature must be from 0/],
  [{ temperature: Number.NaN }, /temperature must be/],
  [{ topP: 1.5 }, /topP must be from 0 to 1, got 1.5/],
  [{ topK: 1.5 }, /topK must be a whole number/],
  [{ repetitionPenalty: 0 }, /repetitionPenalty must be above 0, got 0/],
  [{ stop: [""] }, /stop must be texts that are not empty, got ""/],
  [{ endTokens: [99999] }, /endTokens must be tokens from 0 to \d+, got 99999/],
  [{ seed: -1 }, /seed must be a whole number/],
  [{ beams: 2, temperature: 1 }, /give beams, 2, or a temperature, 1, not both/],
  [{ numReturn: 2 }, /numReturn must be a whole number from 1 to 1, got 2/],
] as const satisfies readonly (readonly [GenerateOptions, RegExp])[])
  test.serial(`refused: ${JSON.stringify(options)}`, async (t) => {
    await t.throwsAsync(generate(model, "a", options), { instanceOf: UsageError, message });
  });

test.serial("refused: prompts that are none, and a decoder in training mode", async (t) => {
  const refused = (prompts: string | (string | Int32Array)[], message: RegExp) =>
    t.throwsAsync(generate(model, prompts), { instanceOf: UsageError, message });
  await refused("", /prompt 0 has no tokens/);
  await refused(
    ["a", Int32Array.of(-1)],
    /prompt 1 has id -1, which is none of the model's \d+ tokens/,
  );
  model.decoder.train();
  await refused("a", /call decoder.eval/);
  model.decoder.eval();
});
