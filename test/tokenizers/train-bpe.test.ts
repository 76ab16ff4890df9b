/** Byte-level BPE learnt from texts: the same as Hugging Face's, and no text is lost in it. */
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Tokenizer } from "@huggingface/tokenizers";
import test from "ava";
import fc from "fast-check";
import { UsageError } from "../../src/errors.js";
import { type TrainBpeOptions, trainByteLevelBpe } from "../../src/tokenizers/train-bpe.js";

/** Written by scripts/goldens-bpe.py. */
interface Golden extends TrainBpeOptions {
  texts: string[];
  tokens: string[];
  merges: [string, string][];
  /** Of the first: the rest of the file, and the tokens of some texts. */
  rest?: { model: object };
  encoded?: Record<string, number[]>;
}

const goldens: Golden[] = JSON.parse(
  readFileSync(new URL("../golden/train-bpe/corpora.json", import.meta.url), "utf8"),
);
const config = { clean_up_tokenization_spaces: false };
const tokenizerOf = (json: object): Tokenizer => new Tokenizer(json, config);

for (const [i, { texts, tokens, merges, rest, encoded, ...options }] of goldens.entries()) {
  test(`corpus ${i} gives the vocabulary that Python's tokenizers learn`, async (t) => {
    const json = await trainByteLevelBpe(texts, options);
    const vocabulary = Object.entries(json.model.vocab).sort(([, a], [, b]) => a - b);
    t.deepEqual(
      vocabulary,
      Array.from(tokens, (token, id): [string, number] => [token, id]),
    );
    t.deepEqual(json.model.merges, merges);
    if (rest === undefined) return;
    const { vocab: _, merges: __, ...model } = json.model;
    t.deepEqual({ ...json, model }, rest as never);
    const tokenizer = tokenizerOf(json);
    for (const [text, ids] of Object.entries(encoded!))
      t.deepEqual(tokenizer.encode(text).ids, ids);
  });
}

test("every text comes back from its tokens", async (t) => {
  const { texts, tokens: _, merges: __, ...options } = goldens[0]!;
  const tokenizer = tokenizerOf(await trainByteLevelBpe(texts, options));
  const text = fc.oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 40 }),
    fc.string({
      unit: fc.constantFrom(..." \t\n'sltre.a1é日\u0085\ufeff"),
      minLength: 1,
      maxLength: 40,
    }),
  );
  fc.assert(
    fc.property(text, (text) => {
      const { ids } = tokenizer.encode(text);
      t.is(tokenizer.decode(ids, { skip_special_tokens: false }), text);
    }),
    { numRuns: 500 },
  );
});

test("pieces cut where words end give what the whole text gives", async (t) => {
  const { texts, tokens: _, merges: __, ...options } = goldens[0]!;
  const whole = await trainByteLevelBpe(texts, options);
  async function* pieces() {
    for (const piece of texts[0]!.split(/(?<=\S)(?= \p{L})/u)) yield piece;
  }
  t.deepEqual(await trainByteLevelBpe(pieces(), options), whole);
});

test("a beginning token stands in front of every text", async (t) => {
  const specialTokens = ["<pad>", "<s>"];
  const options = { vocabulary: 270, specialTokens, begin: "<s>" };
  const tokenizer = tokenizerOf(await trainByteLevelBpe(["la la la la"], options));
  const { ids } = tokenizer.encode("la");
  t.is(ids[0], 1);
  t.is(tokenizer.decode(ids, { skip_special_tokens: true }), "la");
  t.is(tokenizer.encode("la", { add_special_tokens: false }).ids.length, ids.length - 1);
});

test("the event loop goes on, progress is told, and aborting ends it", async (t) => {
  // Words at random, as no pair of letters is then much more frequent than the others.
  let state = 1;
  const random = (below: number) => {
    state = Math.imul(state, 0x19660d) + 0x3c6ef35f;
    return (state >>> 8) % below;
  };
  const letter = () => String.fromCharCode(97 + random(26));
  const word = () => Array.from({ length: 2 + random(9) }, letter).join("");
  const text = Array.from({ length: 60_000 }, word).join(" ");
  const tasks = new Set<string>();
  const delays = monitorEventLoopDelay({ resolution: 5 });
  delays.enable();
  const onProgress = ({ task }: { task: string }) => void tasks.add(task);
  const { model } = await trainByteLevelBpe([text], { vocabulary: 3000, onProgress });
  delays.disable();
  t.is(Object.keys(model.vocab).length, 3000);
  t.deepEqual([...tasks], ["counting words", "merging tokens"]);
  // A busy machine takes its share, too: the median tells.
  t.true(delays.percentile(50) < 50e6, `${delays.percentile(50) / 1e6} ms`);

  const controller = new AbortController();
  const aborted = trainByteLevelBpe([text], { vocabulary: 3000, signal: controller.signal });
  setTimeout(() => controller.abort(new Error("enough")), 30);
  await t.throwsAsync(aborted, { message: "enough" });
});

test("options that make no vocabulary are refused", async (t) => {
  const refused = async (options: TrainBpeOptions, message: RegExp) => {
    await t.throwsAsync(trainByteLevelBpe([], options), { instanceOf: UsageError, message });
  };
  await refused({ vocabulary: 256, specialTokens: ["<s>"] }, /whole number from 257, got 256/);
  await refused({ vocabulary: 1e10 }, /vocabulary must be/);
  await refused({ vocabulary: 300, minFrequency: -1 }, /minFrequency must be/);
  await refused({ vocabulary: 300, specialTokens: ["a", "a"] }, /different texts/);
  await refused({ vocabulary: 300, begin: "<s>" }, /begin must be one of the special tokens/);
  const { model } = await trainByteLevelBpe([], { vocabulary: 300 });
  t.is(Object.keys(model.vocab).length, 256);
});
