import test from "ava";
import { Place } from "../../src/data/files/json-place.js";
import { loadLibrary } from "../../src/tokenizers/library.js";
import { readDecoder } from "../../src/tokenizers/pipeline/decoder.js";
import { Decoding } from "../../src/tokenizers/pipeline/decoding-step.js";
import { readNormalizer } from "../../src/tokenizers/pipeline/normalizer.js";
import { readPreTokenizer } from "../../src/tokenizers/pipeline/pre-tokenizer.js";
import { readGolden } from "./goldens.js";

interface Step<Case> {
  config: { type: string };
  cases: Case[];
}

const golden = readGolden<{
  normalizers: Step<{ text: string; result: string }>[];
  preTokenizers: Step<{ text: string; result: string[] }>[];
  decoders: Step<{ tokens: string[]; result: string }>[];
}>("steps.json");
const library = await loadLibrary();

/** A configuration's name in a title, unlike those of the others. */
function titleOf(config: { type: string }, i: number): string {
  return `${i}: ${JSON.stringify(config).slice(0, 80)}`;
}

golden.normalizers.forEach(({ config, cases }, i) => {
  test(`normalizer ${titleOf(config, i)}`, (t) => {
    const { apply } = readNormalizer(new Place("steps.json", "", config), library)!;
    for (const { text, result } of cases) t.is(apply(text), result, JSON.stringify(text));
  });
});

golden.preTokenizers.forEach(({ config, cases }, i) => {
  test(`pre-tokenizer ${titleOf(config, i)}`, (t) => {
    const { apply } = readPreTokenizer(new Place("steps.json", "", config), library)!;
    for (const { text, result } of cases) {
      t.deepEqual(apply(text, true), result, JSON.stringify(text));
    }
  });
});

golden.decoders.forEach(({ config, cases }, i) => {
  test(`decoder ${titleOf(config, i)}`, (t) => {
    const { begin } = readDecoder(new Place("steps.json", "", config), library);
    for (const { tokens, result } of cases) {
      const decoding = new Decoding(begin());
      const pieces = tokens.map((token) => decoding.push(token));
      t.is(pieces.join("") + decoding.end(), result, JSON.stringify(tokens));
    }
  });
});
