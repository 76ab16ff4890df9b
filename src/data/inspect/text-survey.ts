/** What texts are written in. */
import type { LongCall } from "../../progress.js";
import { forRowBlocks } from "../prepared/row-blocks.js";
import { add, type Distribution, distributionOf } from "./distribution.js";

/** Scripts that are told apart; letters of others count as `Other`. */
const scripts = [
  "Latin",
  "Greek",
  "Cyrillic",
  "Armenian",
  "Georgian",
  "Hebrew",
  "Arabic",
  "Devanagari",
  "Bengali",
  "Gurmukhi",
  "Gujarati",
  "Tamil",
  "Telugu",
  "Kannada",
  "Malayalam",
  "Sinhala",
  "Thai",
  "Lao",
  "Tibetan",
  "Myanmar",
  "Khmer",
  "Ethiopic",
  "Mongolian",
  "Hangul",
  "Hiragana",
  "Katakana",
  "Han",
];
const patterns = scripts.map((script) => ({
  script,
  pattern: new RegExp(`\\p{Script=${script}}`, "u"),
}));
const letter = /\p{L}/u;
const emoji = /\p{Extended_Pictographic}/u;
const replacementCharacter = 0xfffd;

const largestSample = 20_000; // texts
const longestText = 4_000; // UTF-16 units that are looked at

/** Of a sample of texts, evenly spaced over the rows; a text of more than 4,000 characters is looked at up to there. */
export interface TextInfo {
  /** Texts that are not empty, of the rows of the sample. */
  readonly texts: number;
  /** Rows that were looked at. */
  readonly sampled: number;
  /** Characters (code points) of those texts. Null without texts. */
  readonly lengths: Distribution | null;
  /** Letters by Unicode script, most first. */
  readonly scripts: Readonly<Record<string, number>>;
  /** Emoji in those texts. */
  readonly emoji: number;
  /** Characters that stand for bytes which were no UTF-8, and the texts that have them. */
  readonly replacementCharacters: number;
  readonly textsWithReplacementCharacters: number;
}

/**
 * @param rows how many texts there are
 * @param text a text by its row; undefined or empty for none
 */
export async function describeTexts(
  rows: number,
  text: (row: number) => string | undefined,
  task: string,
  options: LongCall,
): Promise<TextInfo> {
  const sampled = Math.min(rows, largestSample);
  const scriptOf = scriptFinder();
  const letters = new Map<string, number>();
  const lengths = new Map<number, number>();
  let texts = 0;
  let replaced = 0;
  let textsReplaced = 0;
  await forRowBlocks(
    sampled,
    task,
    options,
    (from, to) => {
      for (let i = from; i < to; i++) {
        const content = text(Math.floor((i * rows) / sampled))?.slice(0, longestText);
        if (content === undefined || content === "") continue;
        texts++;
        let length = 0;
        let replacedHere = 0;
        for (const character of content) {
          length++;
          const code = character.codePointAt(0)!;
          if (code === replacementCharacter) replacedHere++;
          const script = scriptOf(code);
          if (script !== undefined) letters.set(script, (letters.get(script) ?? 0) + 1);
        }
        add(lengths, length);
        replaced += replacedHere;
        if (replacedHere > 0) textsReplaced++;
      }
    },
    512,
  );
  const emojiCount = letters.get("emoji") ?? 0;
  letters.delete("emoji");
  return {
    texts,
    sampled,
    lengths: distributionOf(lengths),
    scripts: Object.fromEntries([...letters].sort(([, a], [, b]) => b - a)),
    emoji: emojiCount,
    replacementCharacters: replaced,
    textsWithReplacementCharacters: textsReplaced,
  };
}

/** Gives the script of a letter, `emoji` of an emoji, and undefined of anything else; each character is looked up once. */
function scriptFinder(): (code: number) => string | undefined {
  const known = new Map<number, string | undefined>();
  return (code) => {
    if (code < 128) return (code | 32) >= 97 && (code | 32) <= 122 ? "Latin" : undefined;
    if (!known.has(code)) known.set(code, scriptOf(String.fromCodePoint(code)));
    return known.get(code);
  };
}

function scriptOf(character: string): string | undefined {
  if (emoji.test(character)) return "emoji";
  if (!letter.test(character)) return undefined;
  return patterns.find(({ pattern }) => pattern.test(character))?.script ?? "Other";
}
