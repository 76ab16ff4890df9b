import { SyntaxFault } from "./syntax-fault.js";

const space = /[ \t\r\n]*/y;
const plain = /[^"\\\u0000-\u001f]*/y;
const escape = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const scalar = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

type Wanted = "value" | "first value" | "key" | "first key" | "colon" | "more";

/** What is wrong with a text that `JSON.parse` has refused, whose messages do not always say where. */
export function jsonFault(text: string): SyntaxFault {
  /** What closes each list or object that is open. */
  const closers: string[] = [];
  let at = 0;
  let wanted = "value" as Wanted;

  for (;;) {
    at += lengthOf(space, text, at);
    const next = text[at];
    const closer = closers.at(-1);
    if (wanted === "colon") {
      if (next !== ":") return new SyntaxFault('expected ":"', text, at);
      at++;
      wanted = "value";
    } else if (next !== undefined && next === closer && wanted !== "value" && wanted !== "key") {
      closers.pop();
      at++;
      wanted = "more";
    } else if (wanted === "more") {
      if (closer === undefined) return new SyntaxFault("expected the end of the line", text, at);
      if (next !== ",") return new SyntaxFault(`expected "," or "${closer}"`, text, at);
      at++;
      wanted = closer === "}" ? "key" : "value";
    } else if (next === '"') {
      const end = stringEnd(text, at + 1);
      if (end instanceof SyntaxFault) return end;
      at = end;
      wanted = wanted === "key" || wanted === "first key" ? "colon" : "more";
    } else if (wanted === "key" || wanted === "first key") {
      return new SyntaxFault('expected a name in "', text, at);
    } else if (next === "{" || next === "[") {
      closers.push(next === "{" ? "}" : "]");
      at++;
      wanted = next === "{" ? "first key" : "first value";
    } else {
      const length = lengthOf(scalar, text, at);
      if (length === 0) return new SyntaxFault("expected a JSON value", text, at);
      at += length;
      wanted = "more";
    }
  }
}

/** The place behind a string whose opening quote is just before `from`. */
function stringEnd(text: string, from: number): number | SyntaxFault {
  for (let at = from; ; ) {
    at += lengthOf(plain, text, at);
    if (text[at] === '"') return at + 1;
    const length = lengthOf(escape, text, at);
    if (length === 0) {
      const rule = text[at] === "\\" ? "expected a JSON escape" : "expected a closing quote";
      return new SyntaxFault(rule, text, at);
    }
    at += length;
  }
}

function lengthOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0].length ?? 0;
}
