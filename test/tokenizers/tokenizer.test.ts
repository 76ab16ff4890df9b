import { Tokenizer } from "../../src/tokenizers/index.js";
import { testModel } from "./real-model.js";

testModel("GPT-2's tokenizer", "gpt2-tokenizer", async (t, folder) => {
  const tokenizer = await Tokenizer.load(folder);
  t.is(tokenizer.vocabularySize, 50257);
  t.deepEqual(tokenizer.specials, { bos: 50256, eos: 50256, unk: 50256 });
  const text = "Once upon a time, there was a 👩‍👩‍👧 girl.\n\n  Größe 你好 don't 12345";
  const ids = tokenizer.encode(text);
  t.is(
    ids.join(" "),
    "7454 2402 257 640 11 612 373 257 50169 102 447 235 41840 102 447 235 41840 100 2576 13 628 " +
      "220 1902 9101 39683 68 220 19526 254 25001 121 836 470 17031 2231",
  );
  t.is(tokenizer.decode(ids), text);
  t.is(tokenizer.decode([...ids, 50256]), text);
  t.is(tokenizer.decode([...ids, 50256], { skipSpecialTokens: false }), `${text}<|endoftext|>`);
});

testModel("a tokenizer of SentencePiece", "tinystories-656k-hf", async (t, folder) => {
  const tokenizer = await Tokenizer.load(folder);
  t.deepEqual(tokenizer.specials, { bos: 1, eos: 2, pad: 0, unk: 0 });
  const ids = tokenizer.encode("Once upon a time, there was a girl.");
  t.is(tokenizer.token(ids[0]!), "<|start_story|>");
  t.is(tokenizer.decode(ids), "Once upon a time, there was a girl.");
  const stream = tokenizer.stream();
  const pieces = Array.from(ids, (id) => stream.push(id));
  t.is(pieces.join("") + stream.end(), "Once upon a time, there was a girl.");
});
