/** Answers of transformers, token by token; `scripts/goldens-generation.py` writes them. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import test from "ava";
import { type GenerateOptions, generate, LanguageModel } from "../../src/generate/index.js";
import { memory } from "../../src/tensor/index.js";
import type { ChatMessage } from "../../src/tokenizers/index.js";

const folder = fileURLToPath(new URL("../golden/generation", import.meta.url));

interface Golden {
  readonly maxNewTokens: number;
  readonly prompts: readonly string[];
  readonly cases: readonly Case[];
  readonly chat: { readonly messages: readonly ChatMessage[]; readonly answers: readonly Answer[] };
}

interface Case {
  readonly num_beams: number;
  readonly num_return_sequences?: number;
  readonly length_penalty?: number;
  readonly early_stopping?: boolean | "never";
  readonly repetition_penalty?: number;
  readonly eos_token_id?: readonly number[] | null;
  readonly stop_strings?: readonly string[];
  /** Of each prompt. */
  readonly answers: readonly (readonly Answer[])[];
}

interface Answer {
  readonly ids: readonly number[];
  readonly text: string;
  readonly score?: number;
}

const golden = JSON.parse(readFileSync(`${folder}/answers.json`, "utf8")) as Golden;
let model: LanguageModel;
let before = 0;
test.before(async () => {
  model = await LanguageModel.load(folder);
  await generate(model, new Int32Array(63), { maxNewTokens: 1 }); // makes the table of rotations
});
test.after.always(() => model.dispose());
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

for (const { answers, ...options } of golden.cases)
  test.serial(`as transformers: ${JSON.stringify(options)}`, async (t) => {
    const { num_beams: beams, num_return_sequences: numReturn = 1, stop_strings: stop } = options;
    const settings: GenerateOptions = {
      ...{ beams, numReturn, stop, maxNewTokens: golden.maxNewTokens },
      lengthPenalty: options.length_penalty,
      earlyStopping: options.early_stopping,
      repetitionPenalty: options.repetition_penalty,
      endTokens: options.eos_token_id === null ? [] : options.eos_token_id,
      logProbabilities: true,
    };
    const results = await generate(model, golden.prompts, settings);
    t.is(results.length, golden.prompts.length * numReturn);
    for (const [i, { ids, text, score, logProbabilities }] of results.entries()) {
      const expected = answers[Math.floor(i / numReturn)]![i % numReturn]!;
      const where = `prompt ${Math.floor(i / numReturn)}, answer ${i % numReturn}`;
      t.deepEqual([...ids], expected.ids, where);
      // Stop strings, and end tokens that are words, are not part of our texts.
      if (!stop && !options.eos_token_id) t.is(text, expected.text, where);
      if (expected.score === undefined) continue;
      t.true(Math.abs(score! - expected.score) < 1e-4, where);
      if (options.repetition_penalty !== 1) continue;
      const total = logProbabilities!.reduce((sum, each) => sum + each, 0);
      t.true(Math.abs(total / ids.length ** (options.length_penalty ?? 1) - score!) < 1e-4, where);
    }
  });

test.serial("a folder says what ends answers, and how its makers would draw", (t) => {
  t.deepEqual(model.generation, {
    endTokens: [2, 3],
    beginToken: 1,
    recommended: { temperature: 0.6, topK: 20, topP: 0.9 },
  });
});

test.serial("conversations are answered in the model's template", async (t) => {
  const { messages, answers } = golden.chat;
  const options = { maxNewTokens: golden.maxNewTokens };
  const [answer] = await generate(model, messages, options);
  t.deepEqual([...answer!.ids], answers[0]!.ids);
  t.is(answer!.text, answers[0]!.text);
  t.deepEqual(await generate(model, [messages, "a", messages], options), [
    answer!,
    (await generate(model, "a", options))[0]!,
    answer!,
  ]);
});
