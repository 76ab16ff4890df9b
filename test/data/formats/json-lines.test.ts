import { gzipSync } from "node:zlib";
import test from "ava";
import fc from "fast-check";
import { Dictionary } from "../../../src/data/dictionary.js";
import { type JsonLinesFormat, openJsonLines } from "../../../src/data/formats/json-lines.js";
import { DataError } from "../../../src/errors.js";
import { drain, lenient, type Read, strict } from "./drain.js";
import { messageOf, textFiles } from "./text-file.js";

const write = textFiles(test);

async function read(
  content: string | Uint8Array,
  columns: Readonly<Record<string, Read>>,
  format: JsonLinesFormat = {},
): Promise<{ rows: Record<string, unknown>[]; errors: string[] }> {
  const options = lenient();
  const reader = await openJsonLines(await write(content, "a.json"), format, options);
  const rows = await drain(reader, columns);
  return { rows, errors: options.errors.map(messageOf) };
}

/** Reads one column, and gives messages in place of values that are errors. */
async function values(content: string, how: "text" | "number", name = "x"): Promise<unknown[]> {
  const { rows, errors } = await read(content, {
    [name]: (row, column) => {
      try {
        return row[how](column);
      } catch (error) {
        return messageOf(error);
      }
    },
  });
  return [...rows.map((row) => row[name]), ...errors];
}

test("reads back objects written as lines, whatever the blocks (property)", async (t) => {
  const objects = fc.array(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })), {
    maxLength: 10,
  });
  const layout = fc.record({
    end: fc.constantFrom("\n", "\r\n", "\n\n", "\n \t\n"),
    mark: fc.boolean(),
    gzip: fc.boolean(),
    blockBytes: fc.oneof(fc.integer({ min: 2, max: 60 }), fc.constant(1 << 18)),
  });
  await fc.assert(
    fc.asyncProperty(objects, layout, async (objects, { end, mark, gzip, blockBytes }) => {
      const lines = objects.map((object) => JSON.stringify({ ...object, all: object }));
      const text = `${mark ? "\ufeff" : ""}${lines.join(end)}`;
      const { rows, errors } = await read(
        gzip ? gzipSync(text) : text,
        { all: "value", line: (row) => row.line },
        { blockBytes },
      );
      t.deepEqual(errors, []);
      const step = end.split("\n").length - 1;
      t.deepEqual(
        rows,
        lines.map((line, i) => ({
          all: (JSON.parse(line) as { all: unknown }).all,
          line: 1 + i * step,
        })),
      );
    }),
    { numRuns: 200 },
  );
});

test("any bytes give the same in blocks of any size (property)", async (t) => {
  const parts = fc.constantFrom(
    '{"a": 1}',
    '{"a":',
    "1",
    "}",
    "\n",
    "\n",
    "\r",
    " ",
    "[",
    '"',
    "\0",
    "é",
    "x".repeat(30),
  );
  const bytes = fc
    .tuple(fc.array(parts, { maxLength: 40 }), fc.boolean())
    .map(([parts, broken]) => {
      // (The first line keeps the file from being refused as a whole.)
      const buffer = Buffer.from(`{"a": 0}\n${parts.join("")}`);
      return broken ? buffer.fill(0xff, buffer.length - 1) : buffer;
    });
  await fc.assert(
    fc.asyncProperty(bytes, fc.integer({ min: 2, max: 9 }), async (bytes, blockBytes) => {
      const columns = { a: "value" } as const;
      const whole = await read(bytes, columns, { longestLine: 24 });
      t.deepEqual(await read(bytes, columns, { longestLine: 24, blockBytes }), whole);
      const lines = bytes
        .toString("latin1")
        .split("\n")
        .filter((line) => /[^\s]/.test(line));
      t.is(whole.rows.length + whole.errors.length, lines.length);
    }),
    { numRuns: 300 },
  );
});

test("paths reach into objects and lists, whole names come first", async (t) => {
  const line = {
    "style.size": "whole",
    style: { size: "path", "of.it": 1 },
    helpful: [3, { of: 4 }],
    name: "text",
    "2": "two",
  };
  const columns = ["style.size", "helpful.0", "helpful.1.of", "2"].map((name) => [name, "value"]);
  const nothing = [
    "style.none",
    "helpful.2",
    "helpful.length",
    "helpful.-1",
    "name.length",
    "name.0",
    "style.of.it",
    "constructor",
    "constructor.name",
    "__proto__",
    "style.__proto__",
    "toString",
    "",
  ].map((name) => [name, "value"]);
  const { rows } = await read(JSON.stringify(line), Object.fromEntries([...columns, ...nothing]));
  t.deepEqual(rows, [
    {
      "style.size": "whole",
      "helpful.0": 3,
      "helpful.1.of": 4,
      "2": "two",
      ...Object.fromEntries(nothing.map(([name]) => [name, undefined])),
    },
  ]);
});

test("a key __proto__ is only a key", async (t) => {
  const text = '{"__proto__": {"polluted": "yes"}}';
  for (const [syntax, line] of [
    ["json", text],
    ["python", text],
  ] as const) {
    const columns = { polluted: "value", "__proto__.polluted": "value" } as const;
    const { rows } = await read(line, columns, { syntax });
    t.deepEqual(rows, [{ polluted: undefined, "__proto__.polluted": "yes" }]);
  }
  t.is(({} as { polluted?: unknown }).polluted, undefined);
});

test("texts are strings, and what is written without quotes", async (t) => {
  const lines = ['"a"', '""', "null", "5", "4.50", "true", "9007199254740991"];
  const bad = ["436329290602240797", "1e999", "[1]", "{}"];
  const text = `${[...lines, ...bad].map((value) => `{"x": ${value}}`).join("\n")}\n{}`;
  const error = (line: number, rest: string) =>
    `a.json, line ${line}, column "x": expected a ${rest}`;
  t.deepEqual(await values(text, "text"), [
    "a",
    undefined,
    undefined,
    "5",
    "4.5",
    "true",
    "9007199254740991",
    error(8, "number within ±2^53, a bigint or a text, got 436329290602240800"),
    error(9, "text, got Infinity"),
    error(10, "text, got a list"),
    error(11, "text, got an object"),
    undefined,
  ]);
});

test("numbers may be in quotes, if they are whole decimals", async (t) => {
  const lines = ["5", "-1.5e3", '"5"', '" 7.25 "', '""', "null", "436329290602240797"];
  const bad = ['"5O"', '"nan"', "true", "1e999", "[5]"];
  const text = [...lines, ...bad].map((value) => `{"x": ${value}}`).join("\n");
  const error = (line: number, got: string) =>
    `a.json, line ${line}, column "x": expected a number, got ${got}`;
  t.deepEqual(await values(text, "number"), [
    5,
    -1500,
    5,
    7.25,
    undefined,
    undefined,
    436329290602240797,
    error(8, '"5O"'),
    error(9, '"nan"'),
    error(10, "true"),
    error(11, "Infinity"),
    error(12, "a list"),
  ]);
});

test("index finds the text", async (t) => {
  const dictionary = new Dictionary();
  const { rows } = await read('{"x": "5"}\n{"x": 5}\n{"x": null}\n{"x": "Zoë"}\n{}', {
    x: (row, column) => row.index(column, dictionary),
  });
  t.deepEqual(
    rows.map(({ x }) => x),
    [0, 0, -1, 1, -1],
  );
  t.deepEqual([...dictionary.names()], ["5", "Zoë"]);
});

test("an id that is too long is an error at its place", async (t) => {
  const dictionary = new Dictionary();
  const { rows } = await read(JSON.stringify({ x: "é".repeat(40_000) }), {
    x: (row, column) => messageOf(t.throws(() => row.index(column, dictionary))),
  });
  t.regex(String(rows[0]?.x), /^a.json, line 1, column "x": .*65535 bytes, got "ééé/);
});

for (const [line, message] of [
  ['{"x": nul}', 'expected a JSON value, got "nul}" at character 7'],
  ["{'x': 1}", `expected a name in ", got "'x': 1}" at character 2`],
  ['{"x": 1', 'expected "," or "}", got the end at character 8'],
  ['{"x": 1,}', 'expected a name in ", got "}" at character 9'],
  ['{"x": [1,]}', 'expected a JSON value, got "]}" at character 10'],
  ['{"x": [1 2]}', 'expected "," or "]", got "2]}" at character 10'],
  ['{"x" 1}', 'expected ":", got "1}" at character 6'],
  ['{"x": 01}', 'expected "," or "}", got "1}" at character 8'],
  ['{"x": 1.}', 'expected "," or "}", got ".}" at character 8'],
  ['{"x": "a', "expected a closing quote, got the end at character 9"],
  ['{"x": "a\tb"}', 'expected a closing quote, got "\\tb\\"}" at character 9'],
  ['{"x": "\\d"}', 'expected a JSON escape, got "\\\\d\\"}" at character 8'],
  ['{"x": "\\u00g0"}', 'expected a JSON escape, got "\\\\u00g0\\"}" at character 8'],
  ['{"x": 1} {"x": 2}', 'expected the end of the line, got "{\\"x\\": 2}" at character 10'],
  ['{"x": NaN}', 'expected a JSON value, got "NaN}" at character 7'],
  ["[1]", "expected an object, got a list"],
  ['"text"', 'expected an object, got "text"'],
  ["null", "expected an object, got null"],
  ["5", "expected an object, got 5"],
] as const) {
  test(`${line} is an error, and the next line is read`, async (t) => {
    const { rows, errors } = await read(`{"x": 1}\n${line}\n{"x": 3}\n`, { x: "value" });
    t.deepEqual(rows, [{ x: 1 }, { x: 3 }]);
    t.deepEqual(errors, [`a.json, line 2: ${message}`]);
  });
}

test("bytes that are not text are errors with their place", async (t) => {
  const text = Buffer.from('{"x": 1}\n{"x": "caf\xe9"}\n{"x": "\0"}\n{"x": 4}\n', "latin1");
  for (const blockBytes of [3, 1000]) {
    const { rows, errors } = await read(text, { x: "value" }, { blockBytes });
    t.deepEqual(rows, [{ x: 1 }, { x: 4 }]);
    t.deepEqual(errors, [
      "a.json, line 2: expected UTF-8 without NUL, got 0xe9 at byte 11",
      "a.json, line 3: expected UTF-8 without NUL, got a NUL at byte 8",
    ]);
  }
});

test("a line of 10 MB is an error, and the file goes on after it", async (t) => {
  const text = `{"x": 1}\n{"x": "${"y".repeat(10 << 20)}"}\n{"x": 3}\n`;
  const { rows, errors } = await read(text, { x: "value" });
  t.deepEqual(rows, [{ x: 1 }, { x: 3 }]);
  t.deepEqual(errors, ["a.json, line 2: expected a line of at most 8388608 bytes, got more"]);
});

test("deep nesting does not crash", async (t) => {
  const deep = "[".repeat(1_000_000);
  const lines = [`{"x": ${deep}${"]".repeat(1_000_000)}}`, `{"x": ${deep}}`, '{"x": 3}'];
  const result = await values(lines.join("\n"), "text");
  t.deepEqual(result, [
    'a.json, line 1, column "x": expected a text, got a list',
    "3",
    'a.json, line 2: expected a JSON value, got "}" at character 1000007',
  ]);
});

test("files that are one piece of JSON are refused at once", async (t) => {
  const refusal = async (text: string): Promise<string> => {
    const path = await write(text, "a.json");
    return messageOf(
      await t.throwsAsync(openJsonLines(path, {}, strict), { instanceOf: DataError }),
    );
  };
  const rule = "a.json: expected an object on every line (JSON lines), got";
  t.is(await refusal('[{"x": 1},\n{"x": 2}]\n'), `${rule} a file that begins with a list`);
  t.is(await refusal("\ufeff\n  [\n"), `${rule} a file that begins with a list`);
  t.is(await refusal('{\n  "x": 1\n}\n'), `${rule} an object over several lines`);
});

test("an empty file has no rows", async (t) => {
  for (const text of ["", "\n\n", "\ufeff"])
    t.deepEqual(await read(text, { x: "value" }), { rows: [], errors: [] });
});

test("Python literals are read as JSON is; code in place of one is an error", async (t) => {
  const lines = [
    "{'asin': 'B01', 'title': \"Don't\", 'price': 9.49, 'categories': [['Music', u'caf\\xe9']], 'new': True}",
    "__import__('os').system('true')",
    "{'asin': __import__('os')}",
    "['B02']",
    "{'asin': None, 'title': '', 'big': 436329290602240797}",
  ];
  const columns = {
    asin: "text",
    title: "text",
    price: "number",
    "categories.0.1": "text",
    new: "text",
    big: "text",
  } as const;
  const { rows, errors } = await read(lines.join("\n"), columns, {
    syntax: "python",
    blockBytes: 50,
  });
  const absent = {
    asin: undefined,
    title: undefined,
    price: undefined,
    "categories.0.1": undefined,
    new: undefined,
  };
  t.deepEqual(rows, [
    {
      asin: "B01",
      title: "Don't",
      price: 9.49,
      "categories.0.1": "café",
      new: "true",
      big: undefined,
    },
    { ...absent, big: "436329290602240797" },
  ]);
  t.deepEqual(errors, [
    `a.json, line 2: expected a Python literal, got "__import__('os').sys" at character 1`,
    `a.json, line 3: expected a Python literal, got "__import__('os')}" at character 10`,
    "a.json, line 4: expected an object, got a list",
  ]);
});
