import { type Place, shown } from "../../data/files/json-place.js";
import { optionalFlag, optionalText } from "../optional.js";
import { byteTokens } from "../pipeline/bytes.js";
import type { Turns } from "../turns.js";
import { readVocabulary, type Vocabulary } from "../vocabulary.js";
import { MergeTable } from "./merge-table.js";
import { Merger } from "./merger.js";
import type { Model } from "./model.js";
import { missingUnknown } from "./unknown.js";

/** Words that come again are looked up: most of a text are. */
const mostRemembered = 1 << 14;
const longestRemembered = 64;

interface BpeOptions {
  readonly unknown: string | undefined;
  /** Several unknown characters in a row are one token. */
  readonly fusesUnknown: boolean;
  /** Writes unknown characters as the tokens of their bytes. */
  readonly fallsBack: boolean;
  /** A word that is a token is that token, whatever its merges say. */
  readonly ignoresMerges: boolean;
  /** Marks the last character of a word. */
  readonly suffix: string;
}

/**
 * Byte-pair encoding, of bytes written as characters or, with byte fallback, of characters and the bytes of those it does
 * not know.
 *
 * @see Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", arXiv:1508.07909
 */
export class Bpe implements Model {
  readonly type = "BPE";
  readonly #merger: Merger;
  readonly #remembered = new Map<string, readonly number[]>();
  #symbols = new Int32Array(64);

  constructor(
    readonly vocabulary: Vocabulary,
    merges: MergeTable,
    readonly options: BpeOptions,
    readonly blame: () => never,
  ) {
    this.#merger = new Merger(merges);
  }

  get unknown(): string | undefined {
    return this.options.unknown;
  }

  segment(word: string, ids: number[]): void {
    const known = this.#remembered.get(word);
    if (known !== undefined) {
      for (const id of known) ids.push(id);
      return;
    }
    const start = ids.length;
    this.#segment(word, ids);
    if (word.length > longestRemembered) return;
    if (this.#remembered.size >= mostRemembered) this.#remembered.clear();
    this.#remembered.set(word, ids.slice(start));
  }

  #segment(word: string, ids: number[]): void {
    const whole = this.options.ignoresMerges ? this.vocabulary.id(word) : undefined;
    if (whole !== undefined) {
      ids.push(whole);
      return;
    }
    const characters = this.#readSymbols(word);
    const count = this.#merger.merge(this.#symbols, characters);
    for (let i = 0; i < count; i++) ids.push(this.#symbols[i]!);
  }

  /** The ids of the characters; returns how many there are. */
  #readSymbols(word: string): number {
    const { fusesUnknown, fallsBack, suffix, unknown } = this.options;
    // A character of one unit has up to three bytes, one of two has four.
    if (3 * word.length > this.#symbols.length) this.#symbols = new Int32Array(6 * word.length);
    const symbols = this.#symbols;
    let count = 0;
    let pending: number | undefined; // an unknown token, which may take in the next one
    let at = 0;
    for (const character of word) {
      at += character.length;
      const text = suffix !== "" && at === word.length ? character + suffix : character;
      const id = this.vocabulary.id(text);
      if (id !== undefined) {
        if (pending !== undefined) symbols[count++] = pending;
        pending = undefined;
        symbols[count++] = id;
        continue;
      }
      const bytes = fallsBack ? this.#bytesOf(text) : undefined;
      if (bytes !== undefined) {
        for (const byte of bytes) symbols[count++] = byte;
      } else if (unknown !== undefined) {
        if (pending !== undefined && !fusesUnknown) symbols[count++] = pending;
        pending = this.vocabulary.id(unknown) ?? this.blame();
      }
    }
    if (pending !== undefined) symbols[count++] = pending;
    return count;
  }

  #bytesOf(text: string): number[] | undefined {
    const ids = byteTokens(text).map((token) => this.vocabulary.id(token));
    return ids.includes(undefined) ? undefined : (ids as number[]);
  }
}

/** @param place of a `model` of type BPE in tokenizer.json */
export async function readBpe(place: Place, turns: Turns): Promise<Model> {
  const dropout = place.get("dropout");
  if (dropout.value !== undefined && dropout.value !== null && dropout.value !== 0) {
    dropout.fail("null, since merges dropped at random are not supported");
  }
  const prefix = place.get("continuing_subword_prefix");
  if (optionalText(prefix)) prefix.fail('"" or null, since marks within words are not supported');
  const vocabulary = await readVocabulary(place.get("vocab"), turns);
  const options: BpeOptions = {
    unknown: optionalText(place.get("unk_token")),
    fusesUnknown: optionalFlag(place.get("fuse_unk")) ?? false,
    fallsBack: optionalFlag(place.get("byte_fallback")) ?? false,
    ignoresMerges: optionalFlag(place.get("ignore_merges")) ?? false,
    suffix: optionalText(place.get("end_of_word_suffix")) ?? "",
  };
  const merges = await readMerges(place.get("merges"), vocabulary, turns);
  return new Bpe(vocabulary, merges, options, missingUnknown(place));
}

/** `["Ġ t", "h e"]` or `[["Ġ", "t"], ["h", "e"]]`; both parts and what they make must be tokens. */
async function readMerges(place: Place, vocabulary: Vocabulary, turns: Turns): Promise<MergeTable> {
  const { value } = place;
  if (!Array.isArray(value)) place.fail("a list of merges");
  const table = new MergeTable(value.length);
  for (const [rank, merge] of (value as unknown[]).entries()) {
    const parts = typeof merge === "string" ? merge.split(" ") : merge;
    const blame = (expected: string): never => place.list()[rank]!.fail(expected);
    if (!isPair(parts)) return blame('two tokens, as "a b" or ["a", "b"]');
    const idOf = (token: string): number =>
      vocabulary.id(token) ?? blame(`of tokens of the vocabulary, which has no ${shown(token)}`);
    const [left, right] = parts;
    table.set(idOf(left), idOf(right), rank, idOf(left + right));
    if (turns.over) await turns.next();
  }
  return table;
}

function isPair(value: unknown): value is [string, string] {
  return (
    Array.isArray(value) &&
    value.length === 2 &&
    value.every((part) => typeof part === "string" && part !== "")
  );
}
