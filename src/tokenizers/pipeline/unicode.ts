/**
 * Classes of characters as the Rust tokenizers mean them, for regular expressions with the flag `u`. JavaScript's own `\s`
 * has U+FEFF and lacks U+0085, and its `\w` and `\d` know ASCII alone.
 */
export const space = "\\p{White_Space}";
export const word = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";
export const punctuation = "\\p{P}!-\\/:-@\\[-`{-~";

const leadingSpace = new RegExp(`^[${space}]+`, "u");
const spaceOnly = new RegExp(`^[${space}]$`, "u");

export function trimStart(text: string): string {
  return text.replace(leadingSpace, "");
}

/** From the end backwards: a regular expression would look at every run of spaces in between. */
export function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && spaceOnly.test(text[end - 1]!)) end--;
  return text.slice(0, end);
}

/** Of every character by itself, as Rust does it: a sigma at the end of a word is a sigma. */
export function lowercase(text: string): string {
  if (!text.includes("Σ")) return text.toLowerCase();
  return Array.from(text, (character) => character.toLowerCase()).join("");
}

const marks = /\p{M}/gu;
const nonSpacingMarks = /\p{Mn}/gu;

export function withoutMarks(text: string): string {
  return text.replace(marks, "");
}

/** Of BERT, which leaves vowel signs that take up space. */
export function withoutAccents(text: string): string {
  return text.replace(nonSpacingMarks, "");
}
