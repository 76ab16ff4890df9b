import type { Place } from "../../data/files/json-place.js";
import type { TokenizersLibrary } from "../library.js";
import { optionalFlag } from "../optional.js";
import { byteTokens } from "../pipeline/bytes.js";
import type { Turns } from "../turns.js";
import { Vocabulary } from "../vocabulary.js";
import type { Model } from "./model.js";

/** The likeliest segmentation under a score for every token. */
export async function readUnigram(
  place: Place,
  library: TokenizersLibrary,
  turns: Turns,
): Promise<Model> {
  const scored = readScores(place.get("vocab"));
  const vocabulary = new Vocabulary();
  for (const [i, [token]] of scored.entries()) {
    vocabulary.add(token, i, () => place.get("vocab").list()[i]!);
    if (turns.over) await turns.next();
  }
  const unknownPlace = place.get("unk_id");
  const unknownId = unknownPlace.count();
  const unknown = vocabulary.token(unknownId) ?? unknownPlace.fail("an id of the vocabulary");
  const fallsBack = optionalFlag(place.get("byte_fallback")) ?? false;
  const unigram = new library.Unigram({ type: "Unigram", vocab: scored, unk_id: unknownId }, "");

  const flush = (text: string, ids: number[]): void => {
    if (text === "") return;
    const known = vocabulary.id(text);
    if (known !== undefined) return void ids.push(known);
    const bytes = fallsBack ? byteTokens(text).map((token) => vocabulary.id(token)) : [undefined];
    if (bytes.includes(undefined)) ids.push(unknownId);
    else ids.push(...(bytes as number[]));
  };
  return {
    type: "Unigram",
    vocabulary,
    unknown,
    segment(word, ids) {
      let pending = ""; // characters without a token, which count as one
      for (const piece of unigram.tokenize(word)) {
        const id = vocabulary.id(piece);
        if (id === undefined || id === unknownId) {
          pending += piece;
          continue;
        }
        flush(pending, ids);
        pending = "";
        ids.push(id);
      }
      flush(pending, ids);
    },
  };
}

/** `[["<unk>", 0], ["▁the", -3.2], ...]` */
function readScores(place: Place): [string, number][] {
  const { value } = place;
  if (!Array.isArray(value) || value.length === 0) place.fail("a list of tokens and their scores");
  const wrong = value.findIndex(
    (entry: unknown) =>
      !Array.isArray(entry) ||
      entry.length !== 2 ||
      typeof entry[0] !== "string" ||
      !Number.isFinite(entry[1]),
  );
  if (wrong >= 0) place.list()[wrong]!.fail("a token and its score");
  return value as [string, number][];
}
