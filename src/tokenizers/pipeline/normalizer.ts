import type { Place } from "../../data/files/json-place.js";
import { UsageError } from "../../errors.js";
import type { TokenizersLibrary } from "../library.js";
import { byteCharacters } from "./bytes.js";
import { readPattern } from "./pattern.js";
import { readCharacterMap } from "./precompiled.js";
import { lowercase, space, trimEnd, trimStart, withoutAccents, withoutMarks } from "./unicode.js";

/** A step on texts, and whether it may run without a time limit. */
export interface Normalizer {
  readonly apply: (text: string) => string;
  readonly isTrusted: boolean;
}

/**
 * The steps that prepare a text before it is cut into words.
 *
 * @param place of `normalizer` in tokenizer.json, which may be null
 * @see https://github.com/huggingface/tokenizers/tree/main/tokenizers/src/normalizers
 */
export function readNormalizer(place: Place, library: TokenizersLibrary): Normalizer | undefined {
  if (place.value === null || place.value === undefined) return undefined;
  const type = place
    .get("type")
    .oneOf([
      "Sequence",
      "NFC",
      "NFD",
      "NFKC",
      "NFKD",
      "Lowercase",
      "Prepend",
      "Replace",
      "Strip",
      "StripAccents",
      "BertNormalizer",
      "ByteLevel",
      "Nmt",
      "Precompiled",
    ]);
  switch (type) {
    case "Sequence":
      return sequence(place, library);
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return trusted((text) => text.normalize(type));
    case "Lowercase":
      return trusted(lowercase);
    case "Prepend": {
      const prefix = shortText(place.get("prepend"));
      return trusted((text) => (text === "" ? "" : prefix + text));
    }
    case "Replace": {
      const { expression, isTrusted } = readPattern(place.get("pattern"), library);
      const content = shortText(place.get("content"));
      return { apply: (text) => text.replace(expression, () => content), isTrusted };
    }
    case "Strip":
      return strip(place);
    case "StripAccents":
      return trusted(withoutMarks);
    case "BertNormalizer":
      return bert(place);
    case "ByteLevel":
      return trusted(byteCharacters);
    case "Nmt":
      return trusted(nmt);
    case "Precompiled":
      return trusted(readCharacterMap(place.get("precompiled_charsmap")));
  }
}

/** Of what a rule puts in place of something: more is no rule of a language. */
const longestContent = 1000;

/** Of what steps make of a text, in characters. */
const longestText = 1 << 26;

function shortText(place: Place): string {
  const text = place.text();
  return text.length <= longestContent
    ? text
    : place.fail(`a text of at most ${longestContent} characters`);
}

/** A text that steps have made longer and longer is refused before the memory is full. */
function bounded(text: string): string {
  if (text.length <= longestText) return text;
  throw new UsageError(`Tokenizer.encode: the text grows to more than ${longestText} characters`);
}

function trusted(apply: (text: string) => string): Normalizer {
  return { apply, isTrusted: true };
}

function sequence(place: Place, library: TokenizersLibrary): Normalizer {
  const steps = place
    .get("normalizers")
    .list()
    .map((step) => readNormalizer(step, library) ?? step.fail("a normalizer"));
  return {
    apply: (text) => steps.reduce((current, step) => bounded(step.apply(current)), text),
    isTrusted: steps.every((step) => step.isTrusted),
  };
}

function strip(place: Place): Normalizer {
  const left = place.get("strip_left").flag();
  const right = place.get("strip_right").flag();
  return trusted((text) => {
    const rest = left ? trimStart(text) : text;
    return right ? trimEnd(rest) : rest;
  });
}

const dropped = /[\0\uFFFD\p{Cc}\p{Cf}\p{Cs}\p{Co}]/gu;
const chinese =
  /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/gu;
const anySpace = new RegExp(`[${space}]`, "gu");

/** What BERT does: control characters away, spaces alike, Chinese characters apart, accents off, lower case. */
function bert(place: Place): Normalizer {
  const cleans = place.get("clean_text").flag();
  const separatesChinese = place.get("handle_chinese_chars").flag();
  const lowers = place.get("lowercase").flag();
  const accents = place.get("strip_accents");
  const stripsAccents =
    accents.value === null || accents.value === undefined ? lowers : accents.flag();
  return trusted((text) => {
    let result = text;
    if (cleans) {
      const kept = result.replace(dropped, (character) => (/[\t\n\r]/.test(character) ? " " : ""));
      result = kept.replace(anySpace, " ");
    }
    if (separatesChinese) result = result.replace(chinese, " $& ");
    if (stripsAccents) result = withoutAccents(result.normalize("NFD"));
    return lowers ? lowercase(result) : result;
  });
}

const nmtDropped = /[\u0001-\u0008\u000B\u000E-\u001F\u007F\u008F\u009F]/g;
const nmtSpaces = /[\u0009\u000A\u000C\u000D\u1680\u200B-\u200F\u2028\u2029\u2581\uFEFF\uFFFD]/g;

function nmt(text: string): string {
  return text.replace(nmtDropped, "").replace(nmtSpaces, " ");
}
