/** Where a text stops being JSON. */
export interface JsonFault {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  readonly problem: string;
}

const token =
  /[{}[\],:]|"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])|(?:true|false|null)(?!\w)/y;
const space = /[ \t\r\n]*/y;

/** What may come next. */
type Expected = "a value" | "a value or ]" | "a key" | "a key or }" | ":" | ", or }" | ", or ]" | "the end";

/**
 * Finds the first fault of a text that `JSON.parse` has refused; its own message mostly does not say where.
 */
export function jsonFault(text: string): JsonFault {
  const open: ("{" | "[")[] = [];
  let expected: Expected = "a value";
  const afterValue = (): Expected => {
    if (open.length === 0) return "the end";
    return open.at(-1) === "{" ? ", or }" : ", or ]";
  };
  for (let at = 0; ; ) {
    space.lastIndex = at;
    at += space.exec(text)![0].length;
    token.lastIndex = at;
    const [found] = token.exec(text) ?? [];
    const next = found === undefined ? undefined : step(expected, found, open);
    if (next === undefined) return faultAt(text, at, expected);
    ...
  }
}
