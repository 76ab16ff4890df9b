/** What becomes of the parts that match, and of those between. */
export const splitBehaviors = [
  "Removed",
  "Isolated",
  "MergedWithPrevious",
  "MergedWithNext",
  "Contiguous",
] as const;

export type SplitBehavior = (typeof splitBehaviors)[number];

interface Part {
  text: string;
  readonly matches: boolean;
}

/** Cuts a text at the matches of a pattern. Nothing empty comes out. */
export function splitText(
  text: string,
  pattern: RegExp,
  behavior: SplitBehavior,
  invert = false,
): string[] {
  const parts = partsOf(text, pattern, invert);
  return join(parts, behavior).filter((piece) => piece !== "");
}

function partsOf(text: string, pattern: RegExp, invert: boolean): Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const { 0: match, index } of text.matchAll(pattern)) {
    if (index > end) parts.push({ text: text.slice(end, index), matches: invert });
    parts.push({ text: match, matches: !invert });
    end = index + match.length;
  }
  if (end < text.length) parts.push({ text: text.slice(end), matches: invert });
  return parts;
}

/** As the Rust library folds them, which for several matches in a row is a matter of convention. */
function join(parts: Part[], behavior: SplitBehavior): string[] {
  switch (behavior) {
    case "Isolated":
      return parts.map(({ text }) => text);
    case "Removed":
      return parts.filter(({ matches }) => !matches).map(({ text }) => text);
    case "MergedWithPrevious":
      return folded(parts, (part, previous) => part.matches && !previous);
    case "Contiguous":
      return folded(parts, (part, previous) => part.matches === previous);
    case "MergedWithNext":
      return foldedFromEnd(parts);
  }
}

function folded(
  parts: readonly Part[],
  belongs: (part: Part, previousMatches: boolean) => boolean,
): string[] {
  const pieces: string[] = [];
  let previous = false;
  for (const part of parts) {
    if (belongs(part, previous) && pieces.length > 0) pieces[pieces.length - 1] += part.text;
    else pieces.push(part.text);
    previous = part.matches;
  }
  return pieces;
}

function foldedFromEnd(parts: readonly Part[]): string[] {
  const pieces: string[] = [];
  let next = false;
  for (const part of parts.toReversed()) {
    if (part.matches && !next && pieces.length > 0) {
      pieces[pieces.length - 1] = part.text + pieces.at(-1)!;
    } else {
      pieces.push(part.text);
    }
    next = part.matches;
  }
  return pieces.reverse();
}
