/** Texts into sequences: which targets count, and what happens to what is too long. */
import test from "ava";
import fc from "fast-check";
import { DataError, UsageError } from "../../../src/errors.js";
import {
  type EncodedExamples,
  type EncodeExamplesOptions,
  encodeDocuments,
  encodeExamples,
  type LanguageExample,
  type TextEncoding,
} from "../../../src/train/index.js";

const [begin, end] = [1, 2];

/** A token for every character, and one for "ab". */
function letters({ begins = true, ends = false } = {}): TextEncoding {
  return {
    specials: { eos: end },
    encode(text, { specialTokens = true } = {}) {
      const ids = (text.match(/ab|./gsu) ?? []).map((piece) =>
        piece === "ab" ? 3 : 10 + piece.codePointAt(0)!,
      );
      const around = specialTokens ? [begins ? [begin] : [], ends ? [end] : []] : [[], []];
      return Int32Array.from([...around[0]!, ...ids, ...around[1]!]);
    },
  };
}

const code = (text: string): number[] => [...text].map((letter) => 10 + letter.codePointAt(0)!);

const encode = (
  examples: LanguageExample[],
  options: Partial<EncodeExamplesOptions> = {},
  tokenizer = letters(),
): Promise<EncodedExamples> => encodeExamples(tokenizer, examples, { length: 100, ...options });

test("the completion and the end token count, the prompt does not", async (t) => {
  const { sequences, shortened } = await encode([
    { prompt: "xy", completion: "pq" },
    { completion: "z" },
  ]);
  t.deepEqual(sequences.batch([0, 1]), {
    size: 2,
    ids: Int32Array.of(begin, ...code("xypq"), begin, ...code("z")),
    counts: [5, 2],
    targets: Int32Array.of(-100, -100, ...code("pq"), end, ...code("z"), end),
  });
  t.is(sequences.counted(0), 3);
  t.is(shortened, 0);
});

test("without beginning tokens, the first token of a bare completion is context", async (t) => {
  for (const [options, tokenizer] of [
    [{}, letters({ begins: false })],
    [{ specialTokens: false }, letters()],
  ] as const) {
    const { sequences } = await encode([{ completion: "pq" }], options, tokenizer);
    t.deepEqual(sequences.batch([0]), {
      size: 1,
      ids: Int32Array.of(...code("pq")),
      counts: [2],
      targets: Int32Array.of(...code("q"), end),
    });
  }
});

test("an end token that the tokenizer adds itself is not there twice", async (t) => {
  const { sequences } = await encode(
    [{ prompt: "x", completion: "p" }],
    {},
    letters({ ends: true }),
  );
  t.deepEqual([...sequences.tokens], [begin, ...code("xp"), end]);
});

test("the prompt has the tokens that it has by itself", async (t) => {
  const { sequences } = await encode([
    { prompt: "xa", completion: "bq" },
    { prompt: "x", completion: "abq" },
  ]);
  t.deepEqual(
    [...sequences.batch([0]).ids, ...sequences.batch([1]).ids],
    [begin, ...code("xabq"), begin, ...code("x"), 3, ...code("q")],
  );
});

test("what is too long is refused, or loses the oldest of its prompt", async (t) => {
  const long = { prompt: "uvwxyz", completion: "pq" };
  const refused = (message: RegExp) => ({ instanceOf: DataError, message });
  await t.throwsAsync(
    encode([{ completion: "p" }, long], { length: 6 }),
    refused(/example 1 \(from 0\) has 9 inputs, at most 6 fit/),
  );
  const { sequences, shortened } = await encode([{ completion: "p" }, long], {
    ...{ length: 6, tooLong: "shorten-prompt" },
  });
  t.is(shortened, 1);
  t.deepEqual([...sequences.batch([1]).ids], [begin, ...code("xyzpq")]);
  t.is(sequences.counted(1), 3);

  const tight = { length: 3, tooLong: "shorten-prompt" } as const;
  const { sequences: bare } = await encode([long], tight);
  t.deepEqual([...bare.tokens], [begin, ...code("pq"), end]);
  await t.throwsAsync(
    encode([long], { ...tight, length: 2 }),
    refused(/its completion of 3 tokens/),
  );
  const plain = letters({ begins: false });
  await t.notThrowsAsync(encode([long], tight, plain));
  await t.throwsAsync(encode([long], { ...tight, length: 2 }, plain), refused(/its completion/));
});

test("no completion is ever shortened", async (t) => {
  const text = fc.string({ unit: fc.constantFrom(..."abxy "), maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(
      text,
      text,
      fc.integer({ min: 1, max: 12 }),
      fc.boolean(),
      async (prompt, completion, length, begins) => {
        const tokenizer = letters({ begins });
        const alone = tokenizer.encode(completion, { specialTokens: false });
        try {
          const { sequences } = await encode(
            [{ prompt, completion }],
            { length, tooLong: "shorten-prompt" },
            tokenizer,
          );
          const { ids, targets } = sequences.batch([0]);
          t.true(ids.length <= length);
          const counted = [...targets].filter((target) => target >= 0);
          const first = begins || prompt !== "" ? 0 : 1;
          t.deepEqual(counted, [...alone.slice(first), end]);
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          t.true(alone.length + 1 > length || completion === "");
        }
      },
    ),
  );
});

test("examples without anything to foretell, and tokenizers without an end, are refused", async (t) => {
  await t.throwsAsync(encode([{ completion: "" }], {}, letters({ begins: false })), {
    instanceOf: DataError,
    message: "example 0 (from 0) is empty",
  });
  const endless = { ...letters(), specials: {} };
  await t.throwsAsync(encode([], {}, endless), { instanceOf: UsageError, message: /no end token/ });
  await t.throwsAsync(encodeDocuments(endless, []), { instanceOf: UsageError });
});

test("documents become a stream with end tokens between; parts are joined", async (t) => {
  const { tokens, documents, bytes } = await encodeDocuments(letters(), [
    "xy",
    { text: "é", last: false },
    { text: " z", last: true },
    "",
  ]);
  t.deepEqual([...tokens], [end, ...code("xy"), end, ...code("é z"), end, end]);
  t.is(documents, 3);
  t.is(bytes, 6);
});

test("encoding can be aborted, and lets timers have their turn", async (t) => {
  const controller = new AbortController();
  const endless = function* () {
    for (;;) yield { completion: "x" };
  };
  setTimeout(() => controller.abort(new Error("enough")), 40);
  const started = performance.now();
  await t.throwsAsync(
    encodeExamples(letters(), endless(), { length: 8, signal: controller.signal }),
    {
      message: "enough",
    },
  );
  t.true(performance.now() - started < 2000);
  await t.throwsAsync(encodeDocuments(letters(), ["x"], { signal: controller.signal }), {
    message: "enough",
  });
});
