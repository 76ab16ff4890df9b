import type { Place } from "../../data/files/json-place.js";
import type { TokenizersLibrary } from "../library.js";
import { punctuation, space } from "./unicode.js";

/** A pattern of a tokenizer, as a JavaScript expression with the flags `gu`. */
export interface Pattern {
  readonly expression: RegExp;
  /** Whether its time is known to be linear in the text, or it must run under a time limit. */
  readonly isTrusted: boolean;
}

/** `{ "String": "▁" }` or `{ "Regex": "\\s+" }`. */
export function readPattern(place: Place, library: TokenizersLibrary): Pattern {
  const text = place.get("String");
  if (text.value !== undefined) {
    return { expression: literal(text.text()), isTrusted: true };
  }
  const regex = place.get("Regex");
  const source = regex.text();
  const known = knownPatterns.get(source);
  if (known !== undefined) return { expression: new RegExp(known, "gu"), isTrusted: true };
  const folded = source.replace(/\(\?i:([^()[\]\\]*)\)/g, (_, body: string) => foldCase(body));
  if (unsupported.test(skeleton(folded))) {
    regex.fail("a regular expression without possessive or atomic parts, \\G and modes");
  }
  try {
    const split = new library.SplitPreTokenizer({
      type: "Split",
      pattern: { Regex: folded },
      behavior: "Isolated",
      invert: false,
    });
    return { expression: split.pattern, isTrusted: false };
  } catch {
    return regex.fail("a regular expression that JavaScript can express");
  }
}

export function literal(text: string): RegExp {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"), "gu");
}

/** A group that ignores case: the library would not know of letters beyond ASCII that fold to these. */
function foldCase(body: string): string {
  const letters = body.replace(/[A-Za-z]/g, (letter) => {
    const [lower, upper] = [letter.toLowerCase(), letter.toUpperCase()];
    return `[${lower}${upper}${{ s: "ſ", k: "\u212A" }[lower] ?? ""}]`;
  });
  return `(?:${letters})`;
}

/** What the library would drop without a word, or read as something else: possessive and atomic parts, modes, anchors. */
const unsupported = /\0|\(\?(?![:=!]|<[=!A-Za-z_])|[*+?]\+/;

/** The pattern with `x` for what is in brackets or escaped; `\0` for escapes that are not supported. */
function skeleton(source: string): string {
  return source.replace(/\\([\s\S])|\[(?:\\[\s\S]|[^\]\\])*\]/g, (_, escaped?: string) =>
    escaped !== undefined && "GKRXyYNO".includes(escaped) ? "\0" : "x",
  );
}

/**
 * Patterns of well-known models, written for JavaScript. Each goes over a word or a run of spaces a few times at most, so
 * the time is linear in the text. Where one ignores case, so does the long s (U+017F), as in Rust.
 */
const contraction = "'(?:[sSſtTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])";
const wordWithSign = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const signs = ` ?[^${space}\\p{L}\\p{N}]+`;
const spaces = `[${space}]+(?![^${space}])|[${space}]+`;
const lines = "[\\p{White_Space}]*[\\r\\n]+";

export const gpt2 = `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|${signs}|${spaces}`;
const llama3 = `${contraction}|${wordWithSign}|\\p{N}{1,3}|${signs}[\\r\\n]*|${lines}|${spaces}`;
const qwen2 = `${contraction}|${wordWithSign}|\\p{N}|${signs}[\\r\\n]*|${lines}|${spaces}`;

const knownPatterns: ReadonlyMap<string, string> = new Map([
  ["'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", gpt2],
  [
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    llama3,
  ],
  [
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
    llama3.replace(lines, "[\\p{White_Space}]*[\\r\\n]"),
  ],
  [
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    qwen2,
  ],
]);

export const isolatedPunctuation = new RegExp(`[${punctuation}]`, "gu");
