/** Tries of strings: every string is where it belongs, and nothing else is there. */
import test from "ava";
import fc from "fast-check";
import { DataError, UsageError } from "../../../src/errors.js";
import { catalogueTrie, TokenTrie } from "../../../src/generate/index.js";
import { Tokenizer } from "../../../src/tokenizers/index.js";
import { testModel } from "../../tokenizers/real-model.js";
import { end, randomStrings } from "./random-catalogue.js";

const some = fc.array(
  fc
    .array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 })
    .map((ids) => Int32Array.from(ids)),
  { minLength: 1, maxLength: 40 },
);

/** Tokens from the root to each leaf, with the leaf's strings. */
function leavesOf(trie: TokenTrie): Map<string, number[]> {
  const leaves = new Map<string, number[]>();
  const visit = (node: number, ids: readonly number[]): void => {
    if (trie.isLeaf(node)) {
      const strings = trie.sorted.subarray(trie.spans[2 * node], trie.spans[2 * node + 1]);
      leaves.set(ids.slice(0, -1).join(), [...strings]);
    }
    for (let child = trie.firstChild[node]!; child < trie.firstChild[node + 1]!; child++)
      visit(child, [...ids, trie.tokens[child]!]);
  };
  visit(0, []);
  return leaves;
}

test("a trie has each string once, with all its indices", async (t) => {
  await fc.assert(
    fc.asyncProperty(some, async (strings) => {
      const trie = await TokenTrie.build(strings, { end });
      const wanted = new Map<string, number[]>();
      for (const [i, string] of strings.entries())
        wanted.set(string.join(), [...(wanted.get(string.join()) ?? []), i]);
      t.deepEqual(new Map([...leavesOf(trie)].sort()), new Map([...wanted].sort()));
      const prefixes = new Set(
        strings.flatMap((string) => [...string.keys()].map((i) => string.slice(0, i + 1).join())),
      );
      t.is(trie.nodes, 1 + prefixes.size + wanted.size);
      t.is(trie.strings, strings.length);
      t.is(trie.depth, 1 + Math.max(...strings.map(({ length }) => length)));
    }),
  );
});

test("the path of a string has its tokens, and its leaf below every node", async (t) => {
  await fc.assert(
    fc.asyncProperty(some, async (strings) => {
      const trie = await TokenTrie.build(strings, { end });
      for (const [i, string] of strings.entries()) {
        const path = trie.pathOf(i);
        t.deepEqual(
          path.map((node) => trie.tokens[node]!),
          [...string, end],
        );
        t.true([0, ...path].every((node) => trie.isBelow(node, i)));
        t.is(trie.sorted[trie.placeOf(i)], i);
      }
      for (let node = 1; node < trie.nodes; node++)
        for (const [i, string] of strings.entries())
          if (trie.isBelow(node, i)) t.true([...string, end].includes(trie.tokens[node]!));
    }),
  );
});

test("what is no string is refused by name", async (t) => {
  const build = (...strings: number[][]) =>
    TokenTrie.build(
      strings.map((ids) => Int32Array.from(ids)),
      { end },
    );
  await t.throwsAsync(build(), {
    instanceOf: UsageError,
    message: "TokenTrie: there are no strings",
  });
  const refused = (message: string) => ({ instanceOf: DataError, message });
  await t.throwsAsync(build([1], []), refused("TokenTrie: string 1 has no tokens"));
  await t.throwsAsync(build([1, 0]), refused("TokenTrie: string 0 has the end token 0 in it"));
  await t.throwsAsync(build([1, -7]), refused("TokenTrie: string 0 has the token -7"));
  await t.throwsAsync(TokenTrie.build([Int32Array.of(1)], { end: -1 }), { instanceOf: UsageError });
  const aborted = AbortSignal.abort(new Error("enough"));
  await t.throwsAsync(TokenTrie.build([Int32Array.of(1)], { end, signal: aborted }), {
    message: "enough",
  });
});

test("100,000 strings are quick and small, and let others have their turn", async (t) => {
  const strings = randomStrings(100_000, 3);
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const trie = await TokenTrie.build(strings, { end });
  clearInterval(timer);
  t.true(turns > 1);
  t.true(trie.bytes < 20e6);
  t.is(trie.strings, 100_000);
});

testModel(
  "titles have the tokens that they have behind a prompt",
  "tinystories-instruct-3m-hf",
  async (t, folder) => {
    const tokenizer = await Tokenizer.load(folder);
    const titles = ["Toy story", "The big cat", "The big", "Toy story", "cat"];
    const trie = await catalogueTrie(titles, tokenizer);
    t.is<number | undefined, number | undefined>(trie.end, tokenizer.specials.eos);
    for (const prompt of ["Next movie:", "She said:"])
      for (const [i, title] of titles.entries()) {
        const whole = tokenizer.encode(`${prompt} ${title}`, { specialTokens: false });
        const path = trie.pathOf(i).map((node) => trie.tokens[node]!);
        const behind = [
          ...tokenizer.encode(prompt, { specialTokens: false }),
          ...path.slice(0, -1),
        ];
        t.deepEqual(behind, [...whole]);
      }
    const lines = await catalogueTrie(["cat"], tokenizer, { context: "\n", prefix: "", end: 3 });
    t.is(tokenizer.decode([lines.tokens[1]!]), "cat");
    t.is(lines.tokens[2], 3);

    const refused = (message: RegExp) => ({ instanceOf: DataError, message });
    await t.throwsAsync(
      catalogueTrie(["dogs", "s"], tokenizer, { context: "cat", prefix: "" }),
      refused(/strings\[1\] "s" has a token that reaches into the context "cat"/),
    );
    await t.throwsAsync(
      catalogueTrie(["a", ""], tokenizer),
      refused(/strings\[1\] "" must be a text that is not empty/),
    );
    await t.throwsAsync(
      catalogueTrie(["a <|endoftext|> b"], tokenizer),
      refused(/strings\[0\] "a <\|endoftext\|> b" has the end token/),
    );
    const endless = { encode: tokenizer.encode.bind(tokenizer), specials: {} };
    await t.throwsAsync(catalogueTrie(["a"], endless), {
      instanceOf: UsageError,
      message: /no end of sequence; `end` must name one/,
    });
  },
);
