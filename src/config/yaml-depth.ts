import { type CST, Parser } from "yaml";

/**
 * How deeply a text of YAML is nested, without recursion. What reads it afterwards is recursive, and V8 ends the process
 * when a regular expression is compiled on a stack that is nearly full.
 */
export function nestingDepth(text: string): number {
  let deepest = 0;
  const open: { token: CST.Token; depth: number }[] = [];
  for (const token of new Parser().parse(text)) open.push({ token, depth: 0 });
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { token, depth } = next;
    deepest = Math.max(deepest, depth);
    for (const child of childrenOf(token)) open.push({ token: child, depth: depth + 1 });
  }
  return deepest;
}

function childrenOf(token: CST.Token): CST.Token[] {
  if (token.type === "document") return token.value === undefined ? [] : [token.value];
  if (!("items" in token)) return [];
  return token.items.flatMap(({ key, value }) => [key, value].filter((child) => child != null));
}
