import type { Place } from "../../data/files/json-place.js";
import type { TokenizersLibrary } from "../library.js";
import { optional } from "../optional.js";
import { byteCharacters } from "./bytes.js";
import { gpt2, isolatedPunctuation, literal, readPattern } from "./pattern.js";
import { splitBehaviors, splitText } from "./split.js";
import { space, word } from "./unicode.js";

/** Cuts a text into the words that the model segments one by one. */
export interface PreTokenizer {
  /** @param isFirst whether the text begins where the user's text does */
  readonly apply: (text: string, isFirst: boolean) => string[];
  readonly isTrusted: boolean;
}

/**
 * @param place of `pre_tokenizer` in tokenizer.json, which may be null
 * @see https://github.com/huggingface/tokenizers/tree/main/tokenizers/src/pre_tokenizers
 */
export function readPreTokenizer(
  place: Place,
  library: TokenizersLibrary,
): PreTokenizer | undefined {
  if (place.value === null || place.value === undefined) return undefined;
  const type = place
    .get("type")
    .oneOf([
      "Sequence",
      "ByteLevel",
      "Split",
      "Metaspace",
      "BertPreTokenizer",
      "Whitespace",
      "WhitespaceSplit",
      "Digits",
      "Punctuation",
      "CharDelimiterSplit",
      "FixedLength",
    ]);
  switch (type) {
    case "Sequence":
      return sequence(place, library);
    case "ByteLevel":
      return byteLevel(place);
    case "Split":
      return split(place, library);
    case "Metaspace":
      return metaspace(place);
    case "BertPreTokenizer":
      return trusted((text) =>
        splitText(text, spaces, "Removed").flatMap((piece) =>
          splitText(piece, isolatedPunctuation, "Isolated"),
        ),
      );
    case "Whitespace":
      return trusted((text) => splitText(text, wordsOrSigns, "Removed", true));
    case "WhitespaceSplit":
      return trusted((text) => splitText(text, spaces, "Removed"));
    case "Digits": {
      const behavior = place.get("individual_digits").flag() ? "Isolated" : "Contiguous";
      return trusted((text) => splitText(text, digits, behavior));
    }
    case "Punctuation": {
      const behavior = optional(place.get("behavior"), (given) => given.oneOf(splitBehaviors));
      return trusted((text) => splitText(text, isolatedPunctuation, behavior ?? "Isolated"));
    }
    case "CharDelimiterSplit": {
      const delimiter = literal(place.get("delimiter").text());
      return trusted((text) => splitText(text, delimiter, "Removed"));
    }
    case "FixedLength":
      return fixedLength(place);
  }
}

const spaces = new RegExp(`[${space}]`, "gu");
const wordsOrSigns = new RegExp(`[${word}]+|[^${word}${space}]+`, "gu");
const digits = /\p{N}/gu;
const gpt2Words = new RegExp(gpt2, "gu");

function trusted(apply: (text: string, isFirst: boolean) => string[]): PreTokenizer {
  return { apply, isTrusted: true };
}

function sequence(place: Place, library: TokenizersLibrary): PreTokenizer {
  const steps = place
    .get("pretokenizers")
    .list()
    .map((step) => readPreTokenizer(step, library) ?? step.fail("a pre-tokenizer"));
  return {
    apply: (text, isFirst) =>
      steps.reduce<string[]>(
        (pieces, step) => pieces.flatMap((piece, i) => step.apply(piece, isFirst && i === 0)),
        [text],
      ),
    isTrusted: steps.every((step) => step.isTrusted),
  };
}

function byteLevel(place: Place): PreTokenizer {
  const addsSpace = place.get("add_prefix_space").flag();
  const usesPattern = optional(place.get("use_regex"), (given) => given.flag()) ?? true;
  return trusted((text) => {
    const prefixed = addsSpace && !text.startsWith(" ") ? ` ${text}` : text;
    const pieces = usesPattern ? splitText(prefixed, gpt2Words, "Isolated") : [prefixed];
    return pieces.map(byteCharacters);
  });
}

function split(place: Place, library: TokenizersLibrary): PreTokenizer {
  const { expression, isTrusted } = readPattern(place.get("pattern"), library);
  const behavior = place.get("behavior").oneOf(splitBehaviors);
  const invert = optional(place.get("invert"), (given) => given.flag()) ?? false;
  return { apply: (text) => splitText(text, expression, behavior, invert), isTrusted };
}

function metaspace(place: Place): PreTokenizer {
  const replacement = place.get("replacement").text();
  const scheme =
    optional(place.get("prepend_scheme"), (given) => given.oneOf(["always", "never", "first"])) ??
    (optional(place.get("add_prefix_space"), (given) => given.flag()) === false
      ? "never"
      : "always");
  const splits = optional(place.get("split"), (given) => given.flag()) ?? true;
  const pattern = literal(replacement);
  return trusted((text, isFirst) => {
    const replaced = text.replaceAll(" ", replacement);
    const prepends = scheme === "always" || (scheme === "first" && isFirst);
    const marked =
      prepends && !replaced.startsWith(replacement) ? replacement + replaced : replaced;
    return splits ? splitText(marked, pattern, "MergedWithNext") : [marked];
  });
}

function fixedLength(place: Place): PreTokenizer {
  const length = optional(place.get("length"), (given) => given.count()) ?? 5;
  if (length === 0) place.get("length").fail("at least 1");
  return trusted((text) => {
    const characters = Array.from(text);
    const pieces: string[] = [];
    for (let i = 0; i < characters.length; i += length) {
      pieces.push(characters.slice(i, i + length).join(""));
    }
    return pieces;
  });
}
