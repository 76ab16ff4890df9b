import test from "ava";
import fc from "fast-check";
import { Tokenizer } from "../../src/tokenizers/index.js";
import { goldenFolder, names } from "./goldens.js";

/** The pieces of a stream, the last one from its end. */
function streamed(
  tokenizer: Tokenizer,
  ids: ArrayLike<number>,
  skipSpecialTokens = true,
): string[] {
  const stream = tokenizer.stream({ skipSpecialTokens });
  const pieces = Array.from(ids, (id) => stream.push(id));
  return [...pieces, stream.end()];
}

for (const name of names) {
  test(`${name}: what a stream gives out is what decode gives, for any ids`, async (t) => {
    const tokenizer = await Tokenizer.load(`${goldenFolder}/${name}`);
    const id = fc.integer({ min: 0, max: tokenizer.vocabularySize + 3 });
    fc.assert(
      fc.property(fc.array(id, { maxLength: 40 }), fc.boolean(), (ids, skipSpecialTokens) => {
        const whole = tokenizer.decode(ids, { skipSpecialTokens });
        const pieces = streamed(tokenizer, ids, skipSpecialTokens);
        t.is(pieces.join(""), whole);
        // What is out is final: any continuation begins with it.
        const cut = pieces.length >> 1;
        const before = pieces.slice(0, cut).join("");
        const other = [...ids.slice(0, cut), ...ids.toReversed()];
        t.true(tokenizer.decode(other, { skipSpecialTokens }).startsWith(before));
      }),
      { numRuns: 150 },
    );
  });

  test(`${name}: a stream of a text has whole characters, and none that is not in it`, async (t) => {
    const tokenizer = await Tokenizer.load(`${goldenFolder}/${name}`);
    const text = fc.string({ unit: "grapheme", maxLength: 30 });
    fc.assert(
      fc.property(text, (given) => {
        const ids = tokenizer.encode(given);
        const whole = tokenizer.decode(ids);
        const pieces = streamed(tokenizer, ids);
        t.is(pieces.join(""), whole);
        for (const piece of pieces) {
          t.false(/\p{Cs}/u.test(piece), JSON.stringify(pieces));
          t.is(piece.includes("\uFFFD"), piece.includes("\uFFFD") && whole.includes("\uFFFD"));
        }
      }),
      { numRuns: 150 },
    );
  });
}

/** Byte-level tokenizers without a normaliser lose nothing. */
for (const name of ["gpt2", "llama3", "other-pattern"] as const) {
  test(`${name}: every text comes back`, async (t) => {
    const tokenizer = await Tokenizer.load(`${goldenFolder}/${name}`);
    const text = fc.string({ unit: "binary", maxLength: 60 });
    fc.assert(
      fc.property(text, (given) => {
        const ids = tokenizer.encode(given, { specialTokens: false });
        t.is(tokenizer.decode(ids, { skipSpecialTokens: false }), given);
      }),
      { numRuns: 300 },
    );
  });
}

test("a character of four tokens comes with the last of them", async (t) => {
  const tokenizer = await Tokenizer.load(`${goldenFolder}/gpt2`);
  const ids = tokenizer.encode("a👍b");
  t.is(ids.length, 6);
  t.deepEqual(streamed(tokenizer, ids), ["a", "", "", "", "👍", "b", ""]);
  const cut = ids.slice(0, 3);
  t.deepEqual(streamed(tokenizer, cut), ["a", "", "", "\uFFFD"]);
});

test("bytes of SentencePiece come when their run is over", async (t) => {
  const tokenizer = await Tokenizer.load(`${goldenFolder}/llama2`);
  const ids = tokenizer.encode("a👍 b", { specialTokens: false });
  t.is(tokenizer.token(ids[1]!), "<0xF0>");
  const pieces = streamed(tokenizer, ids);
  t.deepEqual(pieces.slice(1, 4), ["", "", ""]);
  t.is(pieces.join(""), "a👍 b");
});

test("a stream of words waits with a space for what comes after it", async (t) => {
  const tokenizer = await Tokenizer.load(`${goldenFolder}/word-piece`);
  const ids = tokenizer.encode("the dog. the dog", { specialTokens: false });
  const pieces = streamed(tokenizer, ids);
  t.is(pieces.join(""), "the dog. the dog");
  t.true(pieces.filter((piece) => piece !== "").length >= 3, JSON.stringify(pieces));
});
