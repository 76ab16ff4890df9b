import { UsageError } from "../errors.js";
import type { LongCall } from "../progress.js";
import { Corpus } from "./byte-level-bpe/corpus.js";
import { countWords } from "./byte-level-bpe/count-words.js";
import { MergeQueue } from "./byte-level-bpe/merge-queue.js";
import { type ByteLevelBpeJson, tokenizerJson } from "./byte-level-bpe/tokenizer-json.js";
import { characterOfByte } from "./pipeline/bytes.js";
import { Turns } from "./turns.js";

export interface TrainBpeOptions extends LongCall {
  /** Most tokens: special ones, 256 bytes, and merges for the rest. */
  vocabulary: number;
  /** Tokens that no text is made of, such as `<|endoftext|>`. They are numbered from 0. Default: none. */
  specialTokens?: readonly string[] | undefined;
  /** The special token that is put in front of every encoded text. Default: none. */
  begin?: string | undefined;
  /** How often a pair has to come to become a token. Default: 2. */
  minFrequency?: number | undefined;
}

/**
 * Learns a vocabulary from texts by byte-pair encoding: words in GPT-2's sense are bytes at first, and whichever pair comes
 * most often becomes a token, again and again.
 *
 *     const json = await trainByteLevelBpe(texts, { vocabulary: 8192, specialTokens: ["<|endoftext|>"] });
 *     await writeFile("tokenizer.json", JSON.stringify(json));
 *
 * The result is that of `BpeTrainer` in Hugging Face's `tokenizers`, token by token: of pairs that come equally often, the
 * one whose tokens have the smaller numbers is first. Texts without enough repetition give fewer tokens than asked for.
 *
 * @param texts in any pieces that no word lies across
 * @throws UsageError for options that make no vocabulary
 * @see Sennrich et al., "Neural machine translation of rare words with subword units", ACL 2016, arXiv:1508.07909
 */
export async function trainByteLevelBpe(
  texts: Iterable<string> | AsyncIterable<string>,
  options: TrainBpeOptions,
): Promise<ByteLevelBpeJson> {
  requireOptions(options);
  const { vocabulary, specialTokens = [], begin, minFrequency = 2, signal, onProgress } = options;
  const numbers = new Map<string, number>();
  const tokens: string[] = [];
  const numberOf = (token: string): number => {
    const number = numbers.get(token) ?? tokens.push(token) - 1;
    numbers.set(token, number);
    return number;
  };
  for (const token of [...specialTokens, ...characterOfByte.toSorted()]) numberOf(token);

  const counts = await countWords(texts, { signal, onProgress });
  const turns = new Turns(signal);
  const corpus = await Corpus.of(counts, Int32Array.from(characterOfByte, numberOf), turns);
  const queue = new MergeQueue(corpus.pairs);
  for (const candidate of await corpus.takeCandidates(turns)) queue.push(candidate);
  /** By the pair's number, so that a pair that is merged again stands where it was last. */
  const merges = new Map<number, readonly [string, string]>();
  while (tokens.length < vocabulary) {
    const candidate = queue.pop();
    if (candidate === undefined || candidate.count < Math.max(1, minFrequency)) break;
    const { pair } = candidate;
    const parts = [tokens[corpus.pairs.left[pair]!]!, tokens[corpus.pairs.right[pair]!]!] as const;
    merges.delete(pair);
    merges.set(pair, parts);
    await corpus.merge(candidate, numberOf(parts.join("")), turns);
    for (const found of await corpus.takeCandidates(turns)) queue.push(found);
    onProgress?.({ task: "merging tokens", done: tokens.length, total: vocabulary, unit: "steps" });
    if (turns.over) await turns.next();
  }
  return tokenizerJson({ specialTokens, tokens, merges: [...merges.values()], begin });
}

function requireOptions({
  vocabulary,
  specialTokens = [],
  begin,
  minFrequency = 2,
}: TrainBpeOptions): void {
  const least = specialTokens.length + characterOfByte.length;
  const refuse = (what: string): never => {
    throw new UsageError(`trainByteLevelBpe: ${what}`);
  };
  if (!Number.isSafeInteger(vocabulary) || vocabulary < least || vocabulary >= 2 ** 31)
    refuse(`vocabulary must be a whole number from ${least}, got ${vocabulary}`);
  if (!Number.isSafeInteger(minFrequency) || minFrequency < 0)
    refuse(`minFrequency must be a whole number from 0, got ${minFrequency}`);
  if (specialTokens.includes("") || new Set(specialTokens).size < specialTokens.length)
    refuse("specialTokens must be different texts, none of them empty");
  if (begin !== undefined && !specialTokens.includes(begin))
    refuse(`begin must be one of the special tokens, got ${JSON.stringify(begin)}`);
}
