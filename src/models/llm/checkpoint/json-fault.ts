/** Where a text stops being JSON. */
export interface JsonFault {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** `expected a value, got "NaN"` */
  readonly problem: string;
}

const space = /[ \t\r\n]*/y;
const token = new RegExp(
  [
    String.raw`[{}[\],:]`,
    String.raw`"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"`,
    String.raw`-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])`,
    String.raw`(?:true|false|null)(?!\w)`,
  ].join("|"),
  "y",
);

/** What may come next, and in what the place is: `{`, `[`, or nothing at the top. */
const allowed = {
  "a value": /^["\-\dtfn{[]/,
  'a value or "]"': /^["\-\dtfn{[\]]/,
  "a key": /^"/,
  'a key or "}"': /^["}]/,
  '":"': /^:/,
  '"," or "}"': /^[,}]/,
  '"," or "]"': /^[,\]]/,
  "the end": /^$/,
} as const;

type Expected = keyof typeof allowed;

/** Finds the first fault of a text that `JSON.parse` refuses; its own message mostly does not say where. */
export function jsonFault(text: string): JsonFault {
  const open: string[] = [];
  let expected: Expected = "a value";
  for (let at = 0; ; ) {
    at += matchAt(space, text, at)!.length;
    const found = matchAt(token, text, at);
    if (found === undefined || !allowed[expected].test(found)) return faultAt(text, at, expected);
    expected = after(found, expected, open);
    at += found.length;
  }
}

/** What may follow a token that was allowed. */
function after(found: string, expected: Expected, open: string[]): Expected {
  switch (found) {
    case "{":
      open.push(found);
      return 'a key or "}"';
    case "[":
      open.push(found);
      return 'a value or "]"';
    case ":":
      return "a value";
    case ",":
      return open.at(-1) === "{" ? "a key" : "a value";
    case "}":
    case "]":
      open.pop();
      break;
    default:
      if (expected.startsWith("a key")) return '":"';
  }
  if (open.length === 0) return "the end";
  return open.at(-1) === "{" ? '"," or "}"' : '"," or "]"';
}

function faultAt(text: string, at: number, expected: string): JsonFault {
  const before = text.slice(0, at).split("\n");
  const rest = /^[^\s,:{}[\]]{1,20}|^./su.exec(text.slice(at))?.[0];
  const got = rest === undefined ? "the end of the file" : JSON.stringify(rest);
  return {
    line: before.length,
    column: before.at(-1)!.length + 1,
    problem: `expected ${expected}, got ${got}`,
  };
}

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}
