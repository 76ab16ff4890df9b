import { type Place, shown } from "../../data/files/json-place.js";
import type { TokenizersLibrary } from "../library.js";
import { optionalFlag, optionalText } from "../optional.js";
import { byteTokens } from "../pipeline/bytes.js";
import { readVocabulary, type Vocabulary } from "../vocabulary.js";
import type { Model } from "./model.js";
import { missingUnknown } from "./unknown.js";

/** Byte-pair encoding, of bytes or, with `byte_fallback`, of characters and the bytes of those it does not know. */
export function readBpe(place: Place, library: TokenizersLibrary): Model {
  const vocabulary = readVocabulary(place.get("vocab"));
  const suffix = optionalText(place.get("end_of_word_suffix"));
  refuse(place);
  const merges = readMerges(place.get("merges"), vocabulary);
  const unknown = optionalText(place.get("unk_token"));
  const fusesUnknown = optionalFlag(place.get("fuse_unk")) ?? false;
  const fallsBack = optionalFlag(place.get("byte_fallback")) ?? false;
  const bpe = new library.BPE({
    type: "BPE",
    vocab: place.get("vocab").value as Record<string, number>,
    merges,
    end_of_word_suffix: suffix,
  });
  const ignoresMerges = optionalFlag(place.get("ignore_merges")) ?? false;
  const blame = missingUnknown(place);

  const bytesOf = (piece: string): number[] | undefined => {
    const ids = byteTokens(piece).map((token) => vocabulary.id(token));
    return ids.includes(undefined) ? undefined : (ids as number[]);
  };
  return {
    type: "BPE",
    vocabulary,
    unknown,
    segment(word, ids) {
      const whole = ignoresMerges ? vocabulary.id(word) : undefined;
      if (whole !== undefined) return void ids.push(whole);
      let afterUnknown = false;
      for (const piece of bpe.bpe(word)) {
        const id = vocabulary.id(piece);
        const bytes = id === undefined && fallsBack ? bytesOf(piece) : undefined;
        const isUnknown = id === undefined && bytes === undefined;
        if (id !== undefined) ids.push(id);
        else if (bytes !== undefined) ids.push(...bytes);
        else if (unknown !== undefined && !(afterUnknown && fusesUnknown)) {
          ids.push(vocabulary.id(unknown) ?? blame());
        }
        afterUnknown = isUnknown;
      }
    },
  };
}

/** What would change the tokens, and is not done here. */
function refuse(place: Place): void {
  const dropout = place.get("dropout");
  if (dropout.value !== undefined && dropout.value !== null && dropout.value !== 0) {
    dropout.fail("null: merges dropped at random are not supported");
  }
  const prefix = place.get("continuing_subword_prefix");
  if (optionalText(prefix)) prefix.fail('"" or null: a prefix within words is not supported');
}

/** `["Ġ t", "h e"]` or `[["Ġ", "t"], ["h", "e"]]`; both parts and what they make must be tokens. */
function readMerges(place: Place, vocabulary: Vocabulary): [string, string][] {
  const { value } = place;
  if (!Array.isArray(value)) place.fail("a list of merges");
  return value.map((merge: unknown, i) => {
    const parts = typeof merge === "string" ? merge.split(" ") : merge;
    const blame = (expected: string): never => place.list()[i]!.fail(expected);
    if (!isPair(parts)) return blame('two tokens, as "a b" or ["a", "b"]');
    for (const token of [...parts, parts[0] + parts[1]]) {
      if (vocabulary.id(token) === undefined) {
        blame(`of tokens of the vocabulary, which has no ${shown(token)}`);
      }
    }
    return parts;
  });
}

function isPair(value: unknown): value is [string, string] {
  return (
    Array.isArray(value) &&
    value.length === 2 &&
    value.every((part) => typeof part === "string" && part !== "")
  );
}
