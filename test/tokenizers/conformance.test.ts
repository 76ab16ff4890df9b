import test from "ava";
import { Tokenizer } from "../../src/tokenizers/index.js";
import { type Expected, goldenFolder, names, readGolden } from "./goldens.js";
import { testModel } from "./real-model.js";

for (const name of names) {
  test(`${name}: ids and texts are those of Hugging Face's library`, async (t) => {
    const tokenizer = await Tokenizer.load(`${goldenFolder}/${name}`);
    const expected = readGolden<Expected>(`${name}/expected.json`);
    for (const { text, ids, plain, decoded } of expected.texts) {
      const shown = JSON.stringify(text);
      t.deepEqual(Array.from(tokenizer.encode(text)), ids, shown);
      t.deepEqual(Array.from(tokenizer.encode(text, { specialTokens: false })), plain, shown);
      t.is(tokenizer.decode(ids), decoded, shown);
    }
    for (const { ids, skipped, kept } of expected.decodes) {
      t.is(tokenizer.decode(ids), skipped, ids.join(" "));
      t.is(tokenizer.decode(ids, { skipSpecialTokens: false }), kept, ids.join(" "));
    }
  });
}

for (const name of ["gpt2-tokenizer", "tinystories-656k-hf", "tinystories-instruct-3m-hf"]) {
  testModel(`${name}: ids are those of Hugging Face's library`, name, async (t, folder) => {
    const tokenizer = await Tokenizer.load(folder);
    const golden = readGolden<{ texts: string[]; ids: number[][] }>(`real/${name}.json`);
    golden.texts.forEach((text, i) => {
      t.deepEqual(Array.from(tokenizer.encode(text)), golden.ids[i], JSON.stringify(text));
    });
  });
}
