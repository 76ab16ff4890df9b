import { gzipSync } from "node:zlib";
import test from "ava";
import fc from "fast-check";
import { Dictionary, longestKey } from "../../../src/data/dictionary.js";
import { type DelimitedFormat, openDelimited } from "../../../src/data/formats/delimited.js";
import type { ReaderOptions } from "../../../src/data/formats/row.js";
import { ConfigError, DataError, RowError } from "../../../src/errors.js";
import { lenient, strict } from "./drain.js";
import { messageOf, textFiles } from "./text-file.js";

const write = textFiles(test);

interface Result {
  /** The texts of every record, by its line. */
  readonly rows: [line: number, ...fields: (string | undefined)[]][];
  readonly errors: string[];
}

async function read(
  content: string | Uint8Array,
  format: DelimitedFormat = {},
  columns?: readonly (string | number)[],
): Promise<Result> {
  const path = await write(content, "a.csv");
  const options = lenient();
  const reader = await openDelimited(path, format, options);
  const rows: Result["rows"] = [];
  try {
    const asked =
      columns ?? Array.from({ length: countColumns(reader.column.bind(reader)) }, (_, i) => i);
    const numbers = asked.map((name) => reader.column(name));
    for await (const block of reader.rows()) {
      for (const row of block) rows.push([row.line, ...numbers.map((i) => row.text(i))]);
    }
  } finally {
    await reader.close();
  }
  return { rows, errors: options.errors.map(messageOf) };
}

function countColumns(column: (position: number) => number): number {
  for (let count = 0; count < 10_000; count++) {
    try {
      column(count);
    } catch {
      return count;
    }
  }
  return 0;
}

async function refusal(
  content: string | Uint8Array,
  format: DelimitedFormat = {},
): Promise<string> {
  const path = await write(content, "a.csv");
  try {
    await (await openDelimited(path, format, strict)).close();
  } catch (error) {
    if (error instanceof DataError || error instanceof ConfigError) return messageOf(error);
    throw error;
  }
  return "accepted";
}

/** A field in quotes or not, as its content needs or as `eager` has it. */
function written(field: string, separator: string, eager: boolean, only: boolean): string {
  const needed = field.includes(separator) || /["\r\n]/.test(field) || (only && field === "");
  return needed || eager ? `"${field.replaceAll('"', '""')}"` : field;
}

const field = fc.oneof(
  fc.string({
    unit: fc.constantFrom("a", ",", '"', "\n", "\r", "é", "漢", "🙂", " ", "\t"),
    maxLength: 8,
  }),
  fc.string({ maxLength: 20 }).filter((text) => !text.includes("\0")),
  fc.nat().map(String),
);
const table = fc.integer({ min: 1, max: 5 }).chain((width) =>
  fc.array(fc.array(fc.tuple(field, fc.boolean()), { minLength: width, maxLength: width }), {
    minLength: 1,
    maxLength: 12,
  }),
);

test("reads back tables written in any way, whatever the blocks (property)", async (t) => {
  const layout = fc.record({
    separator: fc.constantFrom(",", ";", "\t", "|"),
    end: fc.constantFrom("\n", "\r\n"),
    finalEnd: fc.boolean(),
    mark: fc.boolean(),
    gzip: fc.boolean(),
    blockBytes: fc.oneof(fc.integer({ min: 2, max: 40 }), fc.constant(1 << 18)),
  });
  await fc.assert(
    fc.asyncProperty(table, layout, async (table, layout) => {
      const { separator, end, finalEnd, mark, gzip, blockBytes } = layout;
      const lines = table.map((row) =>
        row
          .map(([text, eager]) => written(text, separator, eager, row.length === 1))
          .join(separator),
      );
      const text = `${mark ? "\ufeff" : ""}${lines.join(end)}${finalEnd ? end : ""}`;
      const { rows, errors } = await read(gzip ? gzipSync(text) : text, {
        separator,
        blockBytes,
        header: false,
      });
      t.deepEqual(errors, []);
      let line = 1;
      const expected = table.map((row, i) => {
        const here = line;
        line += lines[i]!.split("\n").length;
        return [here, ...row.map(([text]) => (text === "" ? undefined : text))];
      });
      t.deepEqual(rows, expected as Result["rows"]);
    }),
    { numRuns: 300 },
  );
});

test("any bytes give the same rows and errors in blocks of any size (property)", async (t) => {
  const soup = fc.array(
    fc.constantFrom("a", "b,c", ",", '"', '""', "\n", "\r\n", "\r", "\0", "é", "1", "x".repeat(20)),
    { maxLength: 60 },
  );
  const bytes = fc.tuple(soup, fc.boolean()).map(([parts, broken]) => {
    const buffer = Buffer.from(parts.join(""));
    return broken && buffer.length > 0
      ? buffer.fill(0xe9, buffer.length >> 1, (buffer.length >> 1) + 1)
      : buffer;
  });
  await fc.assert(
    fc.asyncProperty(bytes, fc.integer({ min: 2, max: 9 }), async (bytes, blockBytes) => {
      const format = { header: ["first", "second"], longestLine: 24 };
      const whole = await read(bytes, format);
      t.deepEqual(await read(bytes, { ...format, blockBytes }), whole);
      // Every line is in a record, in an error, or blank.
      const lines = bytes.toString("latin1").split("\n");
      t.true(whole.rows.length + whole.errors.length <= lines.length);
    }),
    { numRuns: 500 },
  );
});

test("finds columns by name and by position", async (t) => {
  const reader = await openDelimited(await write("user,item,rating\n1,2,3\n", "a.csv"), {}, strict);
  t.deepEqual(
    ["rating", "user", 1].map((name) => reader.column(name)),
    [2, 0, 1],
  );
  for (const [name, shown] of [
    ["Rating", '"Rating"'],
    [3, "3"],
    [-1, "-1"],
    [0.5, "0.5"],
  ] as const) {
    const error = t.throws(() => reader.column(name), { instanceOf: DataError });
    t.is(messageOf(error), `a.csv: no column ${shown}; there are "user", "item", "rating"`);
  }
  await reader.close();

  const bare = await openDelimited(await write("1,2\n", "a.csv"), { header: false }, strict);
  t.is(bare.column(1), 1);
  const error = t.throws(() => bare.column("user"), { instanceOf: DataError });
  t.is(messageOf(error), 'a.csv: no column "user"; there are 2 columns without names, from 0');
  await bare.close();
});

test("a header may be wide, and hold empty names", async (t) => {
  const names = Array.from({ length: 300 }, (_, i) => `c${i}`);
  const { rows } = await read(`${names}\n${names.map((_, i) => i)}\n`, {}, ["c0", "c299"]);
  t.deepEqual(rows, [[2, "0", "299"]]);
  t.deepEqual((await read(",a,\n0,1,2\n", {}, ["a"])).rows, [[2, "1"]]);
});

test("separators of several characters", async (t) => {
  const text = '1::Toy: Story::\n2:::::A"B\r\n3::x::y';
  const format = { separator: "::", header: ["id", "title", "genres"] };
  for (const blockBytes of [2, 3, 5, 1000]) {
    const { rows, errors } = await read(text, { ...format, blockBytes });
    t.deepEqual(errors, []);
    t.deepEqual(rows, [
      [1, "1", "Toy: Story", undefined],
      [2, "2", undefined, ':A"B'],
      [3, "3", "x", "y"],
    ]);
  }
});

test("quotes mean nothing where they are turned off, or inside a field", async (t) => {
  const { rows } = await read('12" vinyl\t"x\ny"\t"z"\n', {
    separator: "\t",
    header: false,
    quotes: false,
  });
  t.deepEqual(rows, [
    [1, '12" vinyl', '"x'],
    [2, 'y"', '"z"'],
  ]);
  t.deepEqual((await read('12" vinyl,a"b"\n', { header: false })).rows, [[1, '12" vinyl', 'a"b"']]);
});

test("Latin-1 is read as such, and as UTF-8 only when asked", async (t) => {
  const bytes = Buffer.from("id::title\n1::Misérables, Les\n2::ÿ\u0085þ\n", "latin1");
  const format = { separator: "::", blockBytes: 7 };
  const { rows, errors } = await read(bytes, { ...format, encoding: "latin1" });
  t.deepEqual(rows, [
    [2, "1", "Misérables, Les"],
    [3, "2", "ÿ\u0085þ"],
  ]);
  t.deepEqual(errors, []);
  t.deepEqual((await read(bytes, format)).errors, [
    'a.csv, line 2, column "title": expected UTF-8, got byte 0xe9',
    'a.csv, line 3, column "title": expected UTF-8, got byte 0xff',
  ]);
});

test("blank lines are passed over, empty fields are absent", async (t) => {
  const { rows, errors } = await read('\n\r\na,b\n\n,\r\n\r\n"",x\n\n', { blockBytes: 2 });
  t.deepEqual(errors, []);
  t.deepEqual(rows, [
    [5, undefined, undefined],
    [7, undefined, "x"],
  ]);
  t.deepEqual((await read('a\n\n""\n', {})).rows, [[3, undefined]]);
});

test("every broken record is named with its line and column, and the next is read", async (t) => {
  const long = "x".repeat(100);
  const text = [
    "user,item,rating",
    "1,2,3", // line 2
    "1,2",
    "1,2,3,4",
    '1,"2"x,3',
    "1,\0,3",
    `1,${long},3`,
    "2,2,3", // line 8
    '3,"two\nlines",3',
    '3,"two',
    "4,5,6", // line 12
    "5,5,5",
    '6,6,"open',
    "7,7,7",
  ].join("\n");
  for (const blockBytes of [2, 17, 1 << 18]) {
    const { rows, errors } = await read(text, { longestLine: 60, blockBytes });
    t.deepEqual(rows, [
      [2, "1", "2", "3"],
      [8, "2", "2", "3"],
      [9, "3", "two\nlines", "3"],
      [12, "4", "5", "6"],
      [13, "5", "5", "5"],
      [15, "7", "7", "7"],
    ]);
    t.deepEqual(errors, [
      "a.csv, line 3: expected 3 fields, got 2",
      "a.csv, line 4: expected 3 fields, got 4",
      'a.csv, line 5, column "item": expected a separator or the end of the line after a closing quote, got "x"',
      'a.csv, line 6, column "item": expected text, got a NUL byte',
      "a.csv, line 7: expected a record of at most 60 bytes, got more",
      'a.csv, line 11, column "item": expected a separator or the end of the line after a closing quote, got "o" in line 14',
      'a.csv, line 14, column "rating": expected a closing quote, got the end of the file',
    ]);
  }
});

test("a line of 10 MB is an error, and the file goes on after it", async (t) => {
  const text = `a,b\n1,2\n${"x".repeat(10 << 20)},2\n3,4\n"${"\n".repeat(9 << 20)}",2\n`;
  const { rows, errors } = await read(text);
  t.deepEqual(rows, [
    [2, "1", "2"],
    [4, "3", "4"],
  ]);
  t.deepEqual(errors, [
    "a.csv, line 3: expected a record of at most 8388608 bytes, got more",
    'a.csv, line 5, column "a": expected a closing quote within 8388608 bytes, got none',
    'a.csv, line 9437189, column "a": expected a closing quote, got the end of the file',
  ]);
});

test("a header of very many columns is read in a moment, and not listed whole", async (t) => {
  const names = Array.from({ length: 300_000 }, (_, i) => `c${i}`);
  const path = await write(`${names.join(",")}\n`, "a.csv");
  const began = performance.now();
  const reader = await openDelimited(path, {}, strict);
  t.true(performance.now() - began < 10_000); // minutes, were every name compared with every other
  const { message } = t.throws(() => reader.column("user"), { instanceOf: DataError })!;
  t.true(message.endsWith('"c49" and 299950 more'), message.slice(-80));
  await reader.close();
});

test("headers that cannot be", async (t) => {
  t.is(await refusal(""), "a.csv: expected a line that names the columns, got an empty file");
  t.is(
    await refusal("\ufeff\n\r\n"),
    "a.csv: expected a line that names the columns, got an empty file",
  );
  t.is(
    await refusal("user,item,user\n1,2,3\n"),
    'a.csv, line 1: columns 1 and 3 have the same name, "user"',
  );
  t.is(
    await refusal(gzipSync("\nuser,user\n")),
    'a.csv, line 2: columns 1 and 2 have the same name, "user"',
  );
  t.is(
    await refusal(Buffer.from("a,caf\xe9\n", "latin1")),
    'a.csv, line 1, column "2": expected UTF-8, got byte 0xe9',
  );
  t.is(
    await refusal('a,"b\n'),
    'a.csv, line 1, column "2": expected a closing quote, got the end of the file',
  );
});

test("formats that cannot be", async (t) => {
  for (const separator of ["", "\n", "a\r", '"', "\0"]) {
    t.regex(await refusal("a\n", { separator }), /^separator: expected text without quotes/);
  }
  t.regex(await refusal("a\n", { separator: "::", quotes: true }), /^separator: quotes need one/);
});

test("a file without header and rows has no rows", async (t) => {
  t.deepEqual(await read("", { header: false }, [0, 7]), { rows: [], errors: [] });
  t.deepEqual(await read("", { header: ["a"] }), { rows: [], errors: [] });
});

test("gzip that is cut short says after which line, having given the rows before", async (t) => {
  const lines = Array.from({ length: 20_000 }, (_, i) => `${i},${(i * 7919) % 10_007}`);
  const packed = gzipSync(`user,item\n${lines.join("\n")}\n`);
  const path = await write(packed.subarray(0, packed.length >> 1), "a.csv");
  const reader = await openDelimited(path, {}, strict);
  let rows = 0;
  const error = await t.throwsAsync(
    async () => {
      for await (const block of reader.rows()) for (const row of block) rows = row.line - 1;
    },
    { instanceOf: DataError },
  );
  await reader.close();
  t.true(rows > 5000);
  t.regex(messageOf(error), /^a.csv: the gzip data is cut short, after \d+ bytes \(\d+ inflated\)/);
  t.true(messageOf(error).endsWith(`, in line ${rows + 2}`), messageOf(error));
});

test("numbers are decimal, finite and whole; spaces may stand around them", async (t) => {
  const good = [
    "5",
    "-0",
    "+3",
    "4.5",
    ".5",
    "5.",
    " 7 ",
    "1e3",
    "964982703",
    "0.1",
    "12345678901234567890",
  ];
  const bad = [
    "5O",
    "nan",
    "Infinity",
    "0x10",
    "1e999",
    "1,5",
    "--1",
    "1_000",
    "5 5",
    " ",
    ".",
    "-",
    "1e",
    "٣",
  ];
  const path = await write(
    `x\n${[...good, ...bad].map((text) => `"${text}"`).join("\n")}\n\n""\n`,
    "a.csv",
  );
  const reader = await openDelimited(path, {}, strict);
  const results: unknown[] = [];
  for await (const block of reader.rows()) {
    for (const row of block) {
      try {
        results.push(row.number(0));
      } catch (error) {
        t.true(error instanceof RowError);
        results.push(messageOf(error));
      }
    }
  }
  await reader.close();
  t.deepEqual(results, [
    ...good.map(Number),
    ...bad.map(
      (text, i) =>
        `a.csv, line ${good.length + i + 2}, column "x": expected a number, got "${text}"`,
    ),
    undefined,
  ]);
});

test("index finds the field's text, however it is written", async (t) => {
  const columns = "plain,quoted,escaped\n";
  const text = `${columns}Zoë,"Zoë","Zoë"\na"b,"a""b","a""b"\n,"",\n`;
  for (const encoding of ["utf8", "latin1"] as const) {
    const path = await write(Buffer.from(text, encoding), "a.csv");
    const reader = await openDelimited(path, { encoding, blockBytes: 5 }, strict);
    const dictionary = new Dictionary();
    const indices: number[][] = [];
    for await (const block of reader.rows()) {
      for (const row of block) indices.push([0, 1, 2].map((i) => row.index(i, dictionary)));
    }
    await reader.close();
    t.deepEqual(indices, [
      [0, 0, 0],
      [1, 1, 1],
      [-1, -1, -1],
    ]);
    t.deepEqual([...dictionary.names()], ["Zoë", 'a"b']);
  }
});

test("an id that is too long is an error at its place", async (t) => {
  const names = ["x".repeat(longestKey + 1), `"${'""'.repeat(longestKey)}é"`];
  const path = await write(`id\n${names.join("\n")}\n`, "a.csv");
  const reader = await openDelimited(path, {}, strict);
  const messages: string[] = [];
  for await (const block of reader.rows()) {
    for (const row of block) {
      messages.push(
        messageOf(t.throws(() => row.index(0, new Dictionary()), { instanceOf: RowError })),
      );
    }
  }
  await reader.close();
  t.true(
    messages[0]!.startsWith(
      'a.csv, line 2, column "id": expected an id of at most 65535 bytes, got "xxx',
    ),
  );
  t.true(
    messages[1]!.startsWith('a.csv, line 3, column "id": expected an id of at most 65535 bytes'),
  );
});

test("whoever leaves a block or the file early may", async (t) => {
  const text = `a\n${Array.from({ length: 1000 }, (_, i) => i).join("\n")}\n`;
  const path = await write(text, "a.csv");
  const reader = await openDelimited(path, { blockBytes: 1000 }, strict);
  const seen: (number | undefined)[] = [];
  let blocks = 0;
  for await (const block of reader.rows()) {
    for (const row of block) {
      seen.push(row.number(0));
      break;
    }
    if (++blocks === 3) break;
  }
  await reader.close();
  t.is(reader.sha256(), undefined);
  t.deepEqual([seen[0], seen.length], [0, 3]);
  t.true(seen[1]! > 200 && seen[2]! > 400);
});

test("an error that the listener throws ends the reading", async (t) => {
  const path = await write("a,b\n1\n", "a.csv");
  const options: ReaderOptions = strict;
  const reader = await openDelimited(path, {}, options);
  await t.throwsAsync(
    async () => {
      for await (const block of reader.rows()) t.is([...block].length, 0);
    },
    { instanceOf: RowError },
  );
  await reader.close();
});
