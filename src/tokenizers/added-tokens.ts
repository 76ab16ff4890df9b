import type { Place } from "../data/files/json-place.js";
import { optionalFlag } from "./optional.js";
import { space, word } from "./pipeline/unicode.js";

/** A token that is found in the text itself, before anything else is done with it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Only where no letter is next to it. */
  readonly singleWord: boolean;
  /** Takes the spaces before it with it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  /** Found in the normalised text, as it looks there. */
  readonly normalized: boolean;
  /** Left out by `decode`, unless asked for. */
  readonly special: boolean;
}

export function readAddedToken(place: Place, id: number): AddedToken {
  const special = optionalFlag(place.get("special")) ?? false;
  return {
    id,
    content: place.get("content").text(),
    singleWord: optionalFlag(place.get("single_word")) ?? false,
    lstrip: optionalFlag(place.get("lstrip")) ?? false,
    rstrip: optionalFlag(place.get("rstrip")) ?? false,
    normalized: optionalFlag(place.get("normalized")) ?? !special,
    special,
  };
}

/** A part of a text: an added token, or what is between two. */
export type TextPart = AddedToken | string;

interface Node {
  readonly next: Map<string, Node>;
  token?: AddedToken;
}

/** Finds added tokens: from the left, the longest that fits. */
export class AddedTokenFinder {
  readonly #root: Node = { next: new Map() };

  /** @param tokens with the texts to look for */
  constructor(tokens: Iterable<readonly [text: string, token: AddedToken]>) {
    for (const [text, token] of tokens) {
      if (text === "") continue;
      let node = this.#root;
      for (let i = 0; i < text.length; i++) {
        let next = node.next.get(text[i]!);
        if (next === undefined) {
          next = { next: new Map() };
          node.next.set(text[i]!, next);
        }
        node = next;
      }
      node.token = token;
    }
  }

  split(text: string): TextPart[] {
    if (this.#root.next.size === 0) return text === "" ? [] : [text];
    const parts: TextPart[] = [];
    let from = 0;
    for (let i = 0; i < text.length; ) {
      const match = this.#longestAt(text, i);
      if (match === undefined) {
        i++;
        continue;
      }
      const { token } = match;
      let [start, end] = [i, match.end];
      i = end;
      if (token.singleWord && !isAlone(text, start, end)) continue;
      if (token.lstrip) start = Math.max(from, start - spacesBefore(text, start));
      if (token.rstrip) end += spacesAfter(text, end);
      if (from < start) parts.push(text.slice(from, start));
      parts.push(token);
      from = end;
    }
    if (from < text.length) parts.push(text.slice(from));
    return parts;
  }

  #longestAt(text: string, start: number): { token: AddedToken; end: number } | undefined {
    let found: { token: AddedToken; end: number } | undefined;
    let node = this.#root.next.get(text[start]!);
    for (let end = start + 1; node !== undefined; end++) {
      if (node.token !== undefined) found = { token: node.token, end };
      node = end < text.length ? node.next.get(text[end]!) : undefined;
    }
    return found;
  }
}

const wordEnd = new RegExp(`[${word}]$`, "u");
const wordStart = new RegExp(`^[${word}]`, "u");
const aSpace = new RegExp(`^[${space}]$`, "u");

/** A character may be two units, so two are looked at. */
function isAlone(text: string, start: number, end: number): boolean {
  return (
    !wordEnd.test(text.slice(Math.max(0, start - 2), start)) &&
    !wordStart.test(text.slice(end, end + 2))
  );
}

function spacesBefore(text: string, start: number): number {
  let first = start;
  while (first > 0 && aSpace.test(text[first - 1]!)) first--;
  return start - first;
}

function spacesAfter(text: string, end: number): number {
  let last = end;
  while (last < text.length && aSpace.test(text[last]!)) last++;
  return last - end;
}
