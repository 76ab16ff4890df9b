/**
 * What is used of `@huggingface/tokenizers`: two models and the translation of Oniguruma's regular expressions. The types of
 * the package itself do not resolve under Node's module rules.
 */
export interface TokenizersLibrary {
  readonly Unigram: new (
    config: { type: "Unigram"; vocab: [string, number][]; unk_id: number },
    eosToken: string,
  ) => { tokenize(text: string): string[] };
  readonly WordPiece: new (config: {
    type: "WordPiece";
    vocab: Record<string, number>;
    unk_token: string;
    continuing_subword_prefix: string;
    max_input_chars_per_word: number;
  }) => { encode(words: string[]): string[] };
  readonly SplitPreTokenizer: new (config: {
    type: "Split";
    pattern: { Regex: string };
    behavior: "Isolated";
    invert: false;
  }) => { readonly pattern: RegExp };
}

/** Loaded when a tokenizer is: most of this package needs none. */
export async function loadLibrary(): Promise<TokenizersLibrary> {
  return (await import("@huggingface/tokenizers")) as unknown as TokenizersLibrary;
}
