import test from "ava";
import fc from "fast-check";
import { parsePythonLiteral } from "../../../src/data/formats/python-literal.js";
import { SyntaxFault } from "../../../src/data/formats/syntax-fault.js";

function fault(text: string): string {
  try {
    return `accepted as ${JSON.stringify(parsePythonLiteral(text))}`;
  } catch (error) {
    if (error instanceof SyntaxFault) return `${error.expected}, got ${error.message}`;
    throw error;
  }
}

/** What Python's `repr` prints. */
function repr(value: unknown): string {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "string") return reprOfText(value);
  if (Array.isArray(value)) return `[${value.map(repr).join(", ")}]`;
  if (typeof value === "object") {
    const entries = Object.entries(value).map(([key, item]) => `${repr(key)}: ${repr(item)}`);
    return `{${entries.join(", ")}}`;
  }
  const written = Object.is(value, -0) ? "-0.0" : String(value);
  return Number.isSafeInteger(value) || /[.e]/.test(written) ? written : `${written}.0`;
}

function reprOfText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(
    /[\\\n\r\t'\u0000-\u001f\u007f-\u00a0\ud800-\udfff\u2028]/gu,
    (char) => {
      if (char === "'") return quote === "'" ? "\\'" : "'";
      if (char === "\\") return "\\\\";
      if (char === "\n") return "\\n";
      if (char === "\r") return "\\r";
      if (char === "\t") return "\\t";
      const code = char.codePointAt(0)!.toString(16);
      return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`;
    },
  );
  return `${quote}${escaped}${quote}`;
}

const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({
    unit: fc.constantFrom("'", '"', "\\", "\n", "\0", "x41", "é", "🙂", "\ud800", "N{", "#"),
  }),
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    text,
    fc.constantFrom(null, true, false, "__proto__", "constructor"),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.oneof(text, fc.constant("__proto__")), tie("value"), { maxKeys: 4 }),
  ),
}));

test("reads back what repr prints (property)", (t) => {
  fc.assert(
    fc.property(value, (value) => {
      // Plain objects, as JSON gives them.
      const expected = JSON.parse(
        JSON.stringify(value, (_, item) => (Object.is(item, -0) ? 0 : item)),
      );
      const read = parsePythonLiteral(repr(value));
      t.deepEqual(JSON.parse(JSON.stringify(read)), expected);
    }),
    { numRuns: 1000 },
  );
});

test("every text gives a value or a fault (property)", (t) => {
  const parts = fc.constantFrom(
    ..."{}[]():,'\"\\uxNb0159.eE+-_# \nT".split(""),
    "None",
    "True",
    "u'",
    "'a'",
    "'''",
  );
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 30 }), (parts) => {
      t.false(fault(parts.join("")) === "");
    }),
    { numRuns: 5000 },
  );
});

for (const [literal, expected] of [
  // texts
  [`'it\\'s'`, "it's"],
  [`"it's"`, "it's"],
  [`'\\a\\b\\f\\n\\r\\t\\v\\\\\\"'`, '\x07\b\f\n\r\t\v\\"'],
  [`'\\x41\\u00e9\\U0001F642'`, "Aé🙂"],
  [`'\\ud83d\\ude42'`, "🙂"],
  [`'\\0\\12\\1234\\777'`, "\0\nS4\u01ff"],
  [`'\\d\\é\\8'`, "\\d\\é\\8"],
  [`'one \\\ntwo'`, "one two"],
  [`u'caf\\xe9' U"!"`, "café!"],
  [`('a'\n 'b' u'c')`, "abc"],
  [`'''it's\n"quoted" '' '''`, `it's\n"quoted" '' `],
  [`""`, ""],
  [`'' ''`, ""],
  // numbers
  ["0", 0],
  ["-0", 0],
  ["-0.0", -0],
  ["+7", 7],
  ["00_0", 0],
  ["1_000_000", 1e6],
  ["0x_fF", 255],
  ["0o17", 15],
  ["-0b101", -5],
  ["9.49", 9.49],
  [".5", 0.5],
  ["5.", 5],
  ["007.5", 7.5],
  ["1e-05", 1e-5],
  ["1_0.0_1E+1_0", 10.01e10],
  ["1e999", Number.POSITIVE_INFINITY],
  ["9007199254740991", Number.MAX_SAFE_INTEGER],
  ["9007199254740993", 9007199254740993n],
  ["-436329290602240797", -436329290602240797n],
  // the rest
  [" None ", null],
  ["[True, False]", [true, false]],
  ["[]", []],
  ["()", []],
  ["(1)", 1],
  ["(1,)", [1]],
  ["(1, 2)", [1, 2]],
  ["[1, [2, (3,),],]", [1, [2, [3]]]],
  ["{}", {}],
  ["{'a': {'b': [None]},}", { a: { b: [null] } }],
  ["{1: 'x', 1.5: 'y', True: 'z', None: 'n'}", { 1: "x", 1.5: "y", true: "z", null: "n" }],
  ["{'a': 1, 'a': 2}", { a: 2 }],
] as const) {
  test(`${literal} is a value`, (t) =>
    t.deepEqual(parsePythonLiteral(literal), expected as unknown));
}

const notLiteral = "expected a Python literal";
for (const [text, expected] of [
  // code
  [
    "__import__('os').system('rm -rf /')",
    `${notLiteral}, got "__import__('os').sys" at character 1`,
  ],
  ["{'a': open('x')}", `${notLiteral}, got "open('x')}" at character 7`],
  ["[x for x in y]", `${notLiteral}, got "x for x in y]" at character 2`],
  ["1 + 1", 'expected the end of the line, got "+ 1" at character 3'],
  ["[1 + 1j]", 'expected "," or "]", got "+ 1j]" at character 4'],
  ["'a' % 1", 'expected the end of the line, got "% 1" at character 5'],
  ["'a'.join(x)", 'expected the end of the line, got ".join(x)" at character 4'],
  ["lambda: 1", `${notLiteral}, got "lambda: 1" at character 1`],
  ["f'{x}'", `${notLiteral}, got "f'{x}'" at character 1`],
  ["None()", 'expected the end of the line, got "()" at character 5'],
  ["- 5", `${notLiteral}, got "- 5" at character 1`],
  ["--5", `${notLiteral}, got "--5" at character 1`],
  ["...", `${notLiteral}, got "..." at character 1`],
  // what is not read
  ["b'x'", `${notLiteral}, got "b'x'" at character 1`],
  ["{1, 2}", 'expected ":", got ", 2}" at character 3'],
  ["5j", `${notLiteral}, got "5j" at character 1`],
  ["5L", `${notLiteral}, got "5L" at character 1`],
  ["nan", `${notLiteral}, got "nan" at character 1`],
  ["true", `${notLiteral}, got "true" at character 1`],
  ["'\\N{BULLET}'", 'expected no named character (\\N{...}), got "\\\\N{BULLET}\'" at character 2'],
  ["1 # one", 'expected the end of the line, got "# one" at character 3'],
  ["{(1, 2): 3}", 'expected a key that is a text or a number, got "(1, 2): 3}" at character 2'],
  // broken
  ["", `${notLiteral}, got the end at character 1`],
  ["{'a': 1", 'expected "," or "}", got the end at character 8'],
  ["{'a' 1}", 'expected ":", got "1}" at character 6'],
  ["[1 2]", 'expected "," or "]", got "2]" at character 4'],
  ["[,]", `${notLiteral}, got ",]" at character 2`],
  ["{,}", `${notLiteral}, got ",}" at character 2`],
  ["(1", 'expected "," or ")", got the end at character 3'],
  ["'open", "expected a closing quote, got the end at character 6"],
  ["'open\n'", 'expected a closing quote, got "\\n\'" at character 6'],
  ["'''open''", "expected a closing quote, got the end at character 10"],
  ["'\\", "expected a closing quote, got the end at character 3"],
  ["'\\x4'", 'expected \\x and 2 hexadecimal digits of a character, got "\\\\x4\'" at character 2'],
  [
    "'\\U00110000'",
    'expected \\U and 8 hexadecimal digits of a character, got "\\\\U00110000\'" at character 2',
  ],
  ["007", `${notLiteral}, got "007" at character 1`],
  ["1__0", `${notLiteral}, got "1__0" at character 1`],
  ["1.2.3", `${notLiteral}, got "1.2.3" at character 1`],
  ["0x", `${notLiteral}, got "0x" at character 1`],
  ["9".repeat(5000), `${notLiteral}, got "99999999999999999999" at character 1`],
] as const) {
  test(`${text.slice(0, 60)} is a fault`, (t) => t.is(fault(text), expected));
}

test("nesting has a limit, and does not crash", (t) => {
  t.notThrows(() => parsePythonLiteral("[".repeat(200) + "]".repeat(200)));
  for (const open of ["[", "(", "{'a':", "({1:["]) {
    t.regex(
      fault(open.repeat(1_000_000)),
      /^expected at most 200 levels, got .+ at character \d+$/,
    );
  }
});

test("a key __proto__ is only a key", (t) => {
  const read = parsePythonLiteral("{'__proto__': {'polluted': 1}, 'a': 2}") as Record<
    string,
    unknown
  >;
  t.deepEqual(Object.keys(read), ["__proto__", "a"]);
  t.is(Object.getPrototypeOf(read), Object.prototype);
  t.is(read.polluted, undefined);
  t.deepEqual(read, JSON.parse('{"__proto__": {"polluted": 1}, "a": 2}') as unknown);
});
