import type { Place } from "../../data/files/json-place.js";
import type { TokenizersLibrary } from "../library.js";
import { cleanUpToken } from "./clean-up.js";
import { type DecodingStep, fused, perToken } from "./decoding-step.js";
import { byteFallback, byteLevel, delayed, strippedText } from "./decoding-steps.js";
import { readPattern } from "./pattern.js";

/** Begins a decoding. */
export interface Decoder {
  readonly begin: () => DecodingStep[];
  readonly isTrusted: boolean;
}

/** Of a part of the way from tokens to text. */
interface Stage extends Decoder {
  /** Whether what comes out is one text in parts, and no longer tokens. */
  readonly fuses: boolean;
}

/**
 * The way from tokens to text, step by step, each ready to be fed token by token.
 *
 * @param place of `decoder` in tokenizer.json; with null, tokens are joined with spaces
 * @see https://github.com/huggingface/tokenizers/tree/main/tokenizers/src/decoders
 */
export function readDecoder(place: Place, library: TokenizersLibrary): Decoder {
  if (place.value === null || place.value === undefined) {
    return stage(() => perToken((token, isFirst) => (isFirst ? token : ` ${token}`)));
  }
  return readStage(place, library, false);
}

function stage(begin: () => DecodingStep, fuses = false, isTrusted = true): Stage {
  return { begin: () => [begin()], fuses, isTrusted };
}

function readStage(place: Place, library: TokenizersLibrary, isFused: boolean): Stage {
  const type = place
    .get("type")
    .oneOf([
      "Sequence",
      "ByteLevel",
      "ByteFallback",
      "Fuse",
      "Strip",
      "Replace",
      "Metaspace",
      "WordPiece",
      "BPEDecoder",
    ]);
  if (type === "Sequence") return sequence(place, library, isFused);
  if (type === "Fuse") return stage(() => perToken((token) => token), true);
  if (type === "Strip" && isFused) return stage(() => strippedText(stripOptions(place)), true);
  const single = readStep(place, type, library);
  if (!isFused) return single;
  return { ...single, begin: () => [fused(single.begin()[0]!)], fuses: true };
}

function sequence(place: Place, library: TokenizersLibrary, isFused: boolean): Stage {
  const stages: Stage[] = [];
  for (const step of place.get("decoders").list()) {
    stages.push(readStage(step, library, stages.at(-1)?.fuses ?? isFused));
  }
  return {
    begin: () => stages.flatMap((each) => each.begin()),
    fuses: stages.at(-1)?.fuses ?? isFused,
    isTrusted: stages.every((each) => each.isTrusted),
  };
}

/** A step that is fed with tokens. */
function readStep(
  place: Place,
  type:
    | "ByteLevel"
    | "ByteFallback"
    | "Strip"
    | "Replace"
    | "Metaspace"
    | "WordPiece"
    | "BPEDecoder",
  library: TokenizersLibrary,
): Stage {
  switch (type) {
    case "ByteLevel":
      return stage(byteLevel, true);
    case "ByteFallback":
      return stage(byteFallback);
    case "Strip": {
      const options = stripOptions(place);
      return stage(() =>
        perToken((token) => {
          const stripped = strippedText(options);
          return [...stripped.push(token), ...stripped.end()].join("");
        }),
      );
    }
    case "Replace": {
      const { expression, isTrusted } = readPattern(place.get("pattern"), library);
      const content = place.get("content").text();
      const replaced = (token: string): string => token.replace(expression, () => content);
      return stage(() => perToken(replaced), false, isTrusted);
    }
    case "Metaspace":
      return metaspace(place);
    case "WordPiece": {
      const prefix = place.get("prefix").text();
      const cleans = place.get("cleanup").flag();
      return stage(() =>
        perToken((token, isFirst) => {
          const joined = isFirst ? token : withoutPrefix(token, prefix);
          return cleans ? cleanUpToken(joined) : joined;
        }),
      );
    }
    case "BPEDecoder": {
      const suffix = place.get("suffix").text();
      return stage(() =>
        delayed((token, isLast) => token.replaceAll(suffix, () => (isLast ? "" : " "))),
      );
    }
  }
}

function stripOptions(place: Place): { content: string; start: number; stop: number } {
  return {
    content: place.get("content").text(),
    start: place.get("start").count(),
    stop: place.get("stop").count(),
  };
}

function withoutPrefix(token: string, prefix: string): string {
  return token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
}

/** The first token loses all its marks, the others have spaces in their place. */
function metaspace(place: Place): Stage {
  const mark = place.get("replacement").text();
  const scheme = place.get("prepend_scheme").value;
  const keepsFirst = scheme === "never" || place.get("add_prefix_space").value === false;
  return stage(() =>
    perToken((token, isFirst) => token.replaceAll(mark, isFirst && !keepsFirst ? "" : " ")),
  );
}
