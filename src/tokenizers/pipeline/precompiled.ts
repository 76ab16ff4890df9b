import type { Place } from "../../data/files/json-place.js";

/** A unit of the double array: where its children are, whether a text ends there, and the byte that leads to it. */
const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
const endsHere = (unit: number): boolean => ((unit >>> 8) & 1) === 1;
const labelOf = (unit: number): number => unit & 0x800000ff;

/**
 * SentencePiece's normaliser: a table from short texts to what replaces them, as a double-array trie and the replacements.
 * A cluster of characters of up to five bytes is looked up whole, everything else character by character; the shortest
 * entry that begins a text replaces all of it, as in SentencePiece's port to Rust, which models were trained with.
 *
 * @param place of `precompiled_charsmap`: base64 of the length of the trie in bytes, the trie, and the replacements
 * @see https://github.com/huggingface/spm_precompiled
 */
export function readCharacterMap(place: Place): (text: string) => string {
  const bytes = Buffer.from(place.text(), "base64");
  const trieBytes = bytes.length >= 4 ? bytes.readUInt32LE(0) : -1;
  if (trieBytes < 4 || trieBytes % 4 !== 0 || trieBytes + 4 > bytes.length) {
    place.fail("a compiled table of characters");
  }
  const trie = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
  const replacements = bytes.subarray(4 + trieBytes);
  if (longestText(replacements) > longestReplacement) {
    place.fail(`a table of replacements of at most ${longestReplacement} bytes`);
  }
  const find = (text: string): string | undefined => {
    const start = firstMatch(trie, encoder.encode(text));
    if (start === undefined || start > replacements.length) return undefined;
    const end = replacements.indexOf(0, start);
    return replacements.toString("utf8", start, end < 0 ? replacements.length : end);
  };
  return (text) => replaceCharacters(text, remembering(find));
}

/** In bytes; those of NFKC have 33. */
const longestReplacement = 1000;

const encoder = new TextEncoder();
const clusters = new Intl.Segmenter("und", { granularity: "grapheme" });

/** In bytes, of texts that each end with a zero. */
function longestText(texts: Buffer): number {
  let longest = 0;
  for (let start = 0; start < texts.length; ) {
    const end = texts.indexOf(0, start);
    const length = (end < 0 ? texts.length : end) - start;
    longest = Math.max(longest, length);
    start += length + 1;
  }
  return longest;
}

function replaceCharacters(text: string, find: (text: string) => string | undefined): string {
  let result = "";
  for (const { segment } of clusters.segment(text)) {
    const whole = Buffer.byteLength(segment) < 6 ? find(segment) : undefined;
    if (whole !== undefined) result += whole;
    else for (const character of segment) result += find(character) ?? character;
  }
  return result;
}

/** Where the replacement of the shortest entry begins that the bytes begin with. */
function firstMatch(trie: Uint32Array, bytes: Uint8Array): number | undefined {
  let node = offsetOf(trie[0]!);
  for (const byte of bytes) {
    if (byte === 0) return undefined;
    node ^= byte;
    const unit = trie[node];
    if (unit === undefined || labelOf(unit) !== byte) return undefined;
    node ^= offsetOf(unit);
    if (endsHere(unit)) return trie[node] === undefined ? undefined : trie[node]! & 0x7fffffff;
  }
  return undefined;
}

/** Texts repeat their characters. */
function remembering(
  find: (text: string) => string | undefined,
): (text: string) => string | undefined {
  const found = new Map<string, string | undefined>();
  return (text) => {
    if (found.has(text)) return found.get(text);
    const result = find(text);
    found.set(text, result);
    return result;
  };
}
