import test from "ava";
import fc from "fast-check";
import { AnswerText } from "../../src/generate/answer-text.js";
import { StopStrings } from "../../src/generate/stop-strings.js";
import { Tokenizer } from "../../src/tokenizers/index.js";
import { goldenFolder } from "../tokenizers/goldens.js";

const letters = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 12 });
const stopTexts = fc.array(
  fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 4 }),
  { maxLength: 3 },
);

test("stop strings are found in any pieces, and what is given out is never taken back", (t) => {
  fc.assert(
    fc.property(stopTexts, fc.array(letters, { maxLength: 6 }), (stops, parts) => {
      const finder = new StopStrings(stops);
      let given = "";
      let read = "";
      for (const part of parts) {
        if (finder.found) break;
        read += part;
        given += finder.push(part);
        // Nothing is held back but what a stop may begin with.
        const held = finder.found ? "" : read.slice(given.length);
        t.true(held === "" || stops.some((stop) => stop.startsWith(held) && stop !== held));
      }
      const { found } = finder;
      given += finder.end();
      const places = stops.map((stop) => read.indexOf(stop)).filter((at) => at >= 0);
      t.is(found, places.length > 0);
      t.is(given, places.length > 0 ? read.slice(0, Math.min(...places)) : read);
    }),
  );
});

for (const name of ["gpt2", "llama2", "llama3", "gemma", "unigram", "word-piece"])
  test(`${name}: an answer reads as it does after its prompt`, async (t) => {
    const tokenizer = await Tokenizer.load(`${goldenFolder}/${name}`);
    for (const text of ["The end of it all, it is", "the cat sat", "Hello, my friend"]) {
      const ids = tokenizer.encode(text, { specialTokens: false });
      const whole = tokenizer.decode(ids);
      for (let cut = 1; cut < ids.length; cut++) {
        const answer = new AnswerText(tokenizer, ids.slice(0, cut), []);
        let rest = "";
        for (const id of ids.slice(cut)) rest += answer.push(id);
        rest += answer.end();
        t.is(tokenizer.decode(ids.slice(0, cut)) + rest, whole, `${cut} tokens of ${text}`);
      }
    }
  });
