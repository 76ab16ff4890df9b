import type { Place } from "../../data/files/json-place.js";
import type { TokenizersLibrary } from "../library.js";
import type { Turns } from "../turns.js";
import type { Vocabulary } from "../vocabulary.js";
import { readBpe } from "./bpe.js";
import { readUnigram } from "./unigram.js";
import { readWordLevel, readWordPiece } from "./word-piece.js";

/** Segments a word into tokens. */
export interface Model {
  readonly type: "BPE" | "Unigram" | "WordPiece" | "WordLevel";
  readonly vocabulary: Vocabulary;
  readonly unknown: string | undefined;
  /** Appends the ids of a word that is not empty. */
  segment(word: string, ids: number[]): void;
}

/**
 * Large vocabularies take a while, so others get their turns.
 *
 * @param place of `model` in tokenizer.json
 */
export async function readModel(
  place: Place,
  library: TokenizersLibrary,
  turns: Turns,
): Promise<Model> {
  switch (modelType(place)) {
    case "BPE":
      return await readBpe(place, turns);
    case "Unigram":
      return await readUnigram(place, library, turns);
    case "WordPiece":
      return await readWordPiece(place, library, turns);
    case "WordLevel":
      return await readWordLevel(place, turns);
  }
}

/** Files of old have no type: a list is of Unigram, merges are of BPE. */
function modelType(place: Place): Model["type"] {
  const type = place.get("type");
  if (type.value !== undefined) return type.oneOf(["BPE", "Unigram", "WordPiece", "WordLevel"]);
  if (Array.isArray(place.get("vocab").value)) return "Unigram";
  if (place.get("merges").value !== undefined) return "BPE";
  if (place.get("continuing_subword_prefix").value !== undefined) return "WordPiece";
  return type.oneOf(["BPE", "Unigram", "WordPiece", "WordLevel"]);
}
