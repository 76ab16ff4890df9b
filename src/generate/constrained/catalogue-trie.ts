import { DataError, UsageError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import type { Tokenizer } from "../../tokenizers/index.js";
import { Turns } from "../../tokenizers/turns.js";
import { TokenTrie } from "./token-trie.js";

export interface CatalogueTrieOptions extends LongCall {
  /**
   * What stands before a string in a prompt: its end, as far as tokens depend on it. Prompts that end otherwise, with a
   * line break for example, should say so here. Default: `:`.
   */
  readonly context?: string | undefined;
  /** What stands between context and string, as part of the string. Default: a space. */
  readonly prefix?: string | undefined;
  /** The token that ends a string. Default: the tokenizer's end of sequence. */
  readonly end?: number | undefined;
}

/**
 * Titles as a {@link TokenTrie}, tokenised as they stand behind a prompt.
 *
 * A tokenizer may give a title other tokens alone than behind other text: it marks where words begin, or joins a space
 * with what follows. So the title's tokens are those that `context + prefix + title` has beyond those of `context`. They
 * are scored behind the tokens of the prompt, which do not change.
 *
 * @param strings titles; the same ones several times share a leaf
 * @throws DataError when a string has no tokens or the end token in it, or its first token reaches into the context
 * @throws UsageError when there are no strings or there is no end token
 */
export async function catalogueTrie(
  strings: readonly string[],
  tokenizer: Pick<Tokenizer, "encode" | "specials">,
  options: CatalogueTrieOptions = {},
): Promise<TokenTrie> {
  const { context = ":", prefix = " ", end = tokenizer.specials.eos, signal, onProgress } = options;
  if (end === undefined)
    throw new UsageError(
      "catalogueTrie: the tokenizer has no end of sequence; `end` must name one",
    );
  const name = (i: number): string => `strings[${i}] ${JSON.stringify(strings[i])}`;
  const encode = (text: string): Int32Array => tokenizer.encode(text, { specialTokens: false });
  const before = encode(context);
  const sequences: Int32Array[] = [];
  const turns = new Turns(signal);
  for (const [i, string] of strings.entries()) {
    if (typeof string !== "string" || string === "")
      throw new DataError(`catalogueTrie: ${name(i)} must be a text that is not empty`);
    const ids = encode(context + prefix + string);
    if (!before.every((id, at) => ids[at] === id))
      throw new DataError(
        `catalogueTrie: ${name(i)} has a token that reaches into the context ${JSON.stringify(context)}; give another context or prefix`,
      );
    sequences.push(ids.slice(before.length));
    if (turns.over) {
      onProgress?.({ task: "tokenising titles", done: i, total: strings.length, unit: "rows" });
      await turns.next();
    }
  }
  return TokenTrie.build(sequences, { end, name, signal });
}
