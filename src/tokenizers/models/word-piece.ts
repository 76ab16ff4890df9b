import type { Place } from "../../data/files/json-place.js";
import type { TokenizersLibrary } from "../library.js";
import { optional } from "../optional.js";
import type { Turns } from "../turns.js";
import { readVocabulary } from "../vocabulary.js";
import type { Model } from "./model.js";
import { missingUnknown } from "./unknown.js";

/** The longest tokens that a word begins with, one after the other. */
export async function readWordPiece(
  place: Place,
  library: TokenizersLibrary,
  turns: Turns,
): Promise<Model> {
  const vocabulary = await readVocabulary(place.get("vocab"), turns);
  const unknown = place.get("unk_token").text();
  const prefix = place.get("continuing_subword_prefix").text();
  const longest = optional(place.get("max_input_chars_per_word"), (given) => given.count()) ?? 100;
  const wordPiece = new library.WordPiece({
    type: "WordPiece",
    vocab: place.get("vocab").value as Record<string, number>,
    unk_token: unknown,
    continuing_subword_prefix: prefix,
    max_input_chars_per_word: longest,
  });
  const blame = missingUnknown(place);
  return {
    type: "WordPiece",
    vocabulary,
    unknown,
    segment(word, ids) {
      for (const token of wordPiece.encode([word])) ids.push(vocabulary.id(token) ?? blame());
    },
  };
}

/** Every word is a token or unknown. */
export async function readWordLevel(place: Place, turns: Turns): Promise<Model> {
  const vocabulary = await readVocabulary(place.get("vocab"), turns);
  const unknown = place.get("unk_token").text();
  const blame = missingUnknown(place);
  return {
    type: "WordLevel",
    vocabulary,
    unknown,
    segment(word, ids) {
      ids.push(vocabulary.id(word) ?? vocabulary.id(unknown) ?? blame());
    },
  };
}
