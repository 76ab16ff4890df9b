import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { CheckpointError } from "../../src/errors.js";
import { generate, LanguageModel } from "../../src/generate/index.js";
import { memory } from "../../src/tensor/index.js";

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

const golden = fileURLToPath(new URL("../golden/generation", import.meta.url));

/** A copy of the golden model with other files; a value of undefined removes one. */
async function changed(
  t: ExecutionContext,
  files: Readonly<Record<string, object | string | undefined>>,
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-language-model-"));
  t.teardown(() => rm(folder, { recursive: true }));
  await cp(golden, folder, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    if (content === undefined) await rm(join(folder, name));
    else
      await writeFile(
        join(folder, name),
        typeof content === "string" ? content : JSON.stringify(content),
      );
  }
  return folder;
}

const json = async (name: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(join(golden, name), "utf8"));

test.serial(
  "ids come from generation_config.json, then config.json, then the tokenizer",
  async (t) => {
    const name = "generation_config.json";
    const config = await json("config.json");
    const { bos_token_id: _, eos_token_id: __, ...bare } = config;
    for (const [files, endTokens, beginToken] of [
      [{ [name]: { eos_token_id: [3, 2, 3], bos_token_id: 5 } }, [3, 2], 5],
      [{ [name]: { eos_token_id: 0 } }, [0], 1],
      [{ [name]: { eos_token_id: null } }, [2], 1],
      [{ [name]: undefined }, [2], 1],
      [{ [name]: undefined, "config.json": { ...config, eos_token_id: [7, 8] } }, [7, 8], 1],
      [{ [name]: undefined, "config.json": bare }, [2], 1],
    ] as const) {
      using model = await LanguageModel.load(await changed(t, files));
      t.deepEqual(model.generation, { endTokens, beginToken, recommended: {} });
    }
  },
);

test.serial("what the makers recommend counts only where they draw", async (t) => {
  const name = "generation_config.json";
  for (const [given, recommended] of [
    [{ do_sample: true }, { temperature: 1 }],
    [{ do_sample: false, temperature: 0.5, repetition_penalty: 1.1 }, { repetitionPenalty: 1.1 }],
    [
      { do_sample: true, temperature: 0.5, min_p: 0.1, top_k: 0 },
      { temperature: 0.5, minP: 0.1, topK: 0 },
    ],
  ] as const) {
    using model = await LanguageModel.load(await changed(t, { [name]: given }));
    t.deepEqual(model.generation.recommended, recommended);
    const [answer] = await generate(model, "a", {
      ...model.generation.recommended,
      maxNewTokens: 2,
    });
    t.is(answer!.ids.length, 2);
  }
});

for (const [title, files, message] of [
  [
    "an end token that the model has not",
    { "generation_config.json": { eos_token_id: [2, 36] } },
    /generation_config\.json: eos_token_id must be a token from 0 to \d+, or a list of them, got \[2,36\]/,
  ],
  [
    "an end token that is none",
    { "generation_config.json": { eos_token_id: "</s>" } },
    /generation_config\.json: eos_token_id must be a token .*, got "<\/s>"/,
  ],
  [
    "a share above 1",
    { "generation_config.json": { do_sample: true, top_p: 1.5 } },
    /generation_config\.json: top_p must be from 0 to 1, got 1\.5/,
  ],
  [
    "broken JSON",
    { "generation_config.json": "{" },
    /generation_config\.json, line 1, column 2: not JSON/,
  ],
  ["no tokenizer", { "tokenizer.json": undefined }, /tokenizer\.json/],
] as const)
  test.serial(`refused: ${title}`, async (t) => {
    const folder = await changed(t, files);
    await t.throwsAsync(LanguageModel.load(folder), { instanceOf: CheckpointError, message });
  });

test.serial("refused: a tokenizer with more tokens than the model", async (t) => {
  const tokenizer = await json("tokenizer.json");
  const { vocab, ...rest } = tokenizer.model as { vocab: Record<string, number> };
  const more = { ...tokenizer, model: { ...rest, vocab: { ...vocab, A: 99 } } };
  const folder = await changed(t, { "tokenizer.json": more });
  await t.throwsAsync(LanguageModel.load(folder), {
    instanceOf: CheckpointError,
    message: /the tokenizer's ids go up to 99, but the model has \d+ tokens/,
  });
});

test.serial("an aborted signal ends loading", async (t) => {
  const reason = new Error("enough");
  await t.throwsAsync(LanguageModel.load(golden, { signal: AbortSignal.abort(reason) }), {
    is: reason,
  });
});

test.serial("a model in bfloat16 answers", async (t) => {
  using model = await LanguageModel.load(golden, { dtype: "bfloat16" });
  t.is(model.decoder.embedding.weight.value.dtype, "bfloat16");
  const [answer] = await generate(model, "once upon a time", { maxNewTokens: 5, endTokens: [] });
  t.is(answer!.ids.length, 5);
});
