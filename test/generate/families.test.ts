/** Every family answers as transformers does, by the likeliest tokens and by beams; so do the real models. */
import { fileURLToPath } from "node:url";
import test from "ava";
import {
  type AnsweringModel,
  generate,
  generateStream,
  LanguageModel,
} from "../../src/generate/index.js";
import { loadDecoder } from "../../src/models/index.js";
import { memory } from "../../src/tensor/index.js";
import { Tokenizer } from "../../src/tokenizers/index.js";
import {
  type GoldenCase,
  goldenCases,
  goldenFolder,
  readGolden,
} from "../models/llm/golden-case.js";
import { testModel } from "../tokenizers/real-model.js";

let tokenizer: Tokenizer;
let before = 0;
test.before(async () => {
  // The golden models have none; their answers are compared as ids.
  tokenizer = await Tokenizer.load(fileURLToPath(new URL("../golden/generation", import.meta.url)));
});
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

for (const name of goldenCases)
  test.serial(`${name}: greedy answers and those of beam search are transformers'`, async (t) => {
    const { sequences, greedy, beam } = readGolden<GoldenCase>(`${name}/golden.json`);
    const { decoder } = await loadDecoder(goldenFolder(name));
    using _ = decoder;
    const model: AnsweringModel = {
      ...{ decoder, tokenizer },
      generation: { endTokens: [], recommended: {} },
    };
    // Beside another prompt, which is shorter.
    const prompts = sequences.map((ids) => Int32Array.from(ids));
    const options = { maxNewTokens: greedy.length };
    const answers = await generate(model, prompts, options);
    t.deepEqual([...answers.at(-1)!.ids], greedy);
    const searched = await generate(model, prompts, { ...options, beams: 3 });
    t.deepEqual([...searched.at(-1)!.ids], beam);
  });

for (const name of ["tinystories-656k-hf", "tinystories-instruct-3m-hf"])
  testModel(`${name} goes on with a story as in transformers`, name, async (t, folder) => {
    interface Story {
      readonly ids: readonly number[];
      readonly greedy: readonly number[];
      readonly text: string;
    }
    const { ids, greedy, text } = readGolden<Story>(`real/${name}.json`);
    {
      using model = await LanguageModel.load(folder);
      const options = { maxNewTokens: greedy.length };
      const [story] = await generate(model, Int32Array.from(ids), options);
      t.deepEqual([...story!.ids], greedy);
      t.is(story!.text.trimStart(), text.trimStart());
      let streamed = "";
      const prompt = "Once upon a time, there was a little girl who";
      for await (const chunk of generateStream(model, prompt, options)) streamed += chunk.text;
      t.is(streamed, story!.text);
      t.regex(streamed, /^ ?\w+ \w/);
    }
  });
