import type { ConfigPath } from "./keys.js";
import { nodesAt, optionsOf, type SchemaNode } from "./schema.js";

/** What was meant by an option that is not there: one like it beside it, or one of that name elsewhere. */
export function suggestOption(root: SchemaNode, path: ConfigPath): string | undefined {
  const parent = path.slice(0, -1);
  const wrong = String(path.at(-1));
  const siblings = nodesAt(root, parent).flatMap(({ properties = {} }) => Object.keys(properties));
  const sibling = nearest(wrong, siblings, (key) => key);
  if (sibling !== undefined) return [...parent, sibling].join(".");
  const paths = optionsOf(root).map((option) => option.path);
  const named = paths.filter((name) => !name.includes("<"));
  return nearest(wrong, named, (name) => name.slice(name.lastIndexOf(".") + 1));
}

/** The candidate that is like enough, if any; the first of equals. */
export function nearest(
  wrong: string,
  candidates: readonly string[],
  key: (candidate: string) => string,
): string | undefined {
  let best: string | undefined;
  let least = Math.floor(wrong.length / 3) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(wrong.toLowerCase(), key(candidate).toLowerCase());
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours between two words. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 10) return Number.POSITIVE_INFINITY;
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(row[j - 1]! + 1, previous[j]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, beforePrevious[j - 2]! + 1);
      }
      row.push(cost);
    }
    [beforePrevious, previous] = [previous, row];
  }
  return previous[b.length]!;
}
