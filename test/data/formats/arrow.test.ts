import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Bool,
  CompressionType,
  compressionRegistry,
  type DataType,
  DateDay,
  DateMillisecond,
  Dictionary as DictionaryType,
  Field,
  FixedSizeList,
  Float16,
  Float32,
  Float64,
  Int8,
  Int32,
  Int64,
  LargeUtf8,
  List,
  makeBuilder,
  makeData,
  Struct,
  Table,
  TimestampMicrosecond,
  TimestampMillisecond,
  TimestampNanosecond,
  TimestampSecond,
  Type,
  tableToIPC,
  Uint64,
  Utf8,
  Utf8View,
  vectorFromArray,
} from "apache-arrow";
import test from "ava";
import { Dictionary } from "../../../src/data/dictionary.js";
import { type ArrowData, openArrow } from "../../../src/data/formats/arrow.js";
import { DataError, RowError } from "../../../src/errors.js";
import { drain, strict } from "./drain.js";

let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "user-llm-arrow-"));
});
test.after.always(() => rm(folder, { recursive: true }));

const long = "a text of more than twelve bytes: ñ 日本";

/** A type, values of it, and what is read of them. */
const kinds: [string, DataType, unknown[], "text" | "number" | "moment" | "value", unknown[]][] = [
  ["utf8", new Utf8(), ["a", "", long], "text", ["a", undefined, long]],
  ["largeUtf8", new LargeUtf8(), ["a", "", long], "text", ["a", undefined, long]],
  ["utf8View", new Utf8View(), ["a", "", long], "text", ["a", undefined, long]],
  [
    "dictionary",
    new DictionaryType(new Utf8(), new Int8()),
    ["x", "y", "x"],
    "text",
    ["x", "y", "x"],
  ],
  ["int8", new Int8(), [-1, 0, 127], "number", [-1, 0, 127]],
  ["intText", new Int32(), [-1, 0, 7], "text", ["-1", "0", "7"]],
  ["int64", new Int64(), [-5n, 0n, 2n ** 53n - 1n], "number", [-5, 0, 2 ** 53 - 1]],
  [
    "int64Text",
    new Int64(),
    [-(2n ** 60n), 1n, 2n ** 63n - 1n],
    "text",
    ["-1152921504606846976", "1", "9223372036854775807"],
  ],
  [
    "uint64Text",
    new Uint64(),
    [2n ** 64n - 1n, 1n, 0n],
    "text",
    ["18446744073709551615", "1", "0"],
  ],
  ["float16", new Float16(), [0.5, -2, 2 ** -24], "number", [0.5, -2, 2 ** -24]],
  ["float32", new Float32(), [0.5, -2, 3], "number", [0.5, -2, 3]],
  ["float64", new Float64(), [0.1, -2, 1e300], "number", [0.1, -2, 1e300]],
  ["bool", new Bool(), [true, false, true], "text", ["true", "false", "true"]],
  ["seconds", new TimestampSecond(), [-1000, 0, 1.6e12], "moment", [-1000, 0, 1.6e12]],
  ["millis", new TimestampMillisecond(), [-1, 0, 1.6e12], "number", [-1, 0, 1.6e12]],
  [
    "millisText",
    new TimestampMillisecond(),
    [0, 1.6e12, 1],
    "text",
    ["1970-01-01T00:00:00.000Z", "2020-09-13T12:26:40.000Z", "1970-01-01T00:00:00.001Z"],
  ],
  [
    "days",
    new DateDay(),
    [new Date(0), new Date(864e5), new Date(-864e5)],
    "moment",
    [0, 864e5, -864e5],
  ],
  ["dates", new DateMillisecond(), [new Date(0), new Date(1), new Date(-1)], "moment", [0, 1, -1]],
  [
    "list",
    new List(new Field("item", new Utf8())),
    [["a", "b"], [], ["c"]],
    "value",
    [["a", "b"], [], ["c"]],
  ],
  [
    "numbers",
    new List(new Field("item", new Int32())),
    [[1, 2], [], [3]],
    "value",
    [[1, 2], [], [3]],
  ],
  [
    "pair",
    new FixedSizeList(2, new Field("item", new Int32())),
    [
      [1, 2],
      [3, 4],
      [5, 6],
    ],
    "value",
    [
      [1, 2],
      [3, 4],
      [5, 6],
    ],
  ],
];

/** The values and nulls between them, over batches of five rows. */
function tableOf(
  type: DataType,
  values: readonly unknown[],
): { table: Table; expand: (read: readonly unknown[]) => unknown[] } {
  const rows = 23;
  const place = (row: number) => (row % 4 === 3 ? undefined : row % values.length);
  const vectorOf = (start: number, end: number) => {
    const builder = makeBuilder({ type, nullValues: [null] });
    for (let row = start; row < end; row++) {
      const from = place(row);
      builder.append(from === undefined ? null : values[from]);
    }
    return builder.finish().toVector();
  };
  // apache-arrow 21 writes slices of views wrongly.
  const sliced = type.typeId !== Type.Utf8View;
  const whole = vectorOf(0, rows);
  const tables: Table[] = [];
  for (let start = 0; start < rows; start += 5) {
    const end = Math.min(start + 5, rows);
    tables.push(new Table({ column: sliced ? whole.slice(start, end) : vectorOf(start, end) }));
  }
  const table = tables[0]!.concat(...tables.slice(1));
  const expand = (read: readonly unknown[]) =>
    Array.from({ length: rows }, (_, row) => {
      const from = place(row);
      return from === undefined ? undefined : read[from];
    });
  return { table, expand };
}

/** The same table in every form that is read. */
async function forms(name: string, table: Table): Promise<[string, ArrowData][]> {
  const [file, stream] = [tableToIPC(table, "file"), tableToIPC(table, "stream")];
  const paths = [join(folder, `${name}.arrow`), join(folder, `${name}.arrows`)] as const;
  await Promise.all([writeFile(paths[0], file), writeFile(paths[1], stream)]);
  const odd = Buffer.concat([Buffer.from("x"), file]).subarray(1); // not aligned
  return [
    ["table", table],
    ["file bytes", file],
    ["stream bytes", stream],
    ["unaligned bytes", odd],
    ["array buffer", new Uint8Array(file).buffer],
    ["file", paths[0]],
    ["stream", paths[1]],
  ];
}

for (const [name, type, values, read, expected] of kinds) {
  test(`a column of ${name} is read in every form, with nulls and over batches`, async (t) => {
    const { table, expand } = tableOf(type, values);
    t.true(table.batches.length >= 5);
    for (const [form, data] of await forms(name, table)) {
      const reader = await openArrow(data, strict);
      const rows = await drain(reader, { column: read });
      t.deepEqual(
        rows.map((row) => row["column"]),
        expand(expected),
        form,
      );
    }
    const part = await drain(await openArrow(table.slice(4, 17), strict), { column: read });
    t.deepEqual(
      part.map((row) => row["column"]),
      expand(expected).slice(4, 17),
      "slice",
    );
  });
}

for (const [name, type, values] of kinds.filter(([, , , read]) => read === "text")) {
  test(`ids of ${name} enter a dictionary as their texts do`, async (t) => {
    const { table } = tableOf(type, values);
    const [byIndex, byText] = [new Dictionary(), new Dictionary()];
    const rows = await drain(await openArrow(table, strict), {
      column: (row, column) => {
        const text = row.text(column);
        return [row.index(column, byIndex), text === undefined ? -1 : byText.index(text)];
      },
    });
    for (const { column } of rows) t.is(...(column as [number, number]));
    t.deepEqual([...byIndex.names()], [...byText.names()]);
  });
}

test("finer times than milliseconds are rounded down", async (t) => {
  for (const [type, perMilli] of [
    [new TimestampMicrosecond(), 1000n],
    [new TimestampNanosecond(), 1_000_000n],
  ] as const) {
    const millis = [0n, 1n, -1n, 1_700_000_000_123n, -62_135_596_800_000n];
    const values = millis.flatMap((ms) => [
      ms * perMilli,
      ms * perMilli + 1n,
      ms * perMilli + perMilli - 1n,
    ]);
    const inRange = values.filter((value) => BigInt.asIntN(64, value) === value);
    const data = makeData({ type, length: inRange.length, data: BigInt64Array.from(inRange) });
    const table = new Table({ time: data });
    const rows = await drain(await openArrow(table, strict), { time: "moment" });
    const floor = (value: bigint) =>
      Number((value - (((value % perMilli) + perMilli) % perMilli)) / perMilli);
    t.deepEqual(
      rows.map(({ time }) => time),
      inRange.map(floor),
    );
  }
});

test("tables of versions that give 64 bits as pairs of 32 are read", async (t) => {
  const pairs = new Int32Array(BigInt64Array.from([1n, -1n, 2n ** 40n, -(2n ** 40n)]).buffer);
  const type = { typeId: 2, bitWidth: 64, isSigned: true };
  const chunk = { type, length: 4, offset: 0, nullCount: 0, values: pairs, children: [] };
  const table = {
    schema: { fields: [{ name: "n", type }] },
    batches: [{ numRows: 4, data: { children: [chunk] } }],
  };
  const rows = await drain(await openArrow(table, strict), { n: "number" });
  t.deepEqual(rows, [{ n: 1 }, { n: -1 }, { n: 2 ** 40 }, { n: -(2 ** 40) }]);
});

test("dictionaries that grow from batch to batch are read", async (t) => {
  const builder = makeBuilder({
    type: new DictionaryType(new Utf8(), new Int32()),
    nullValues: [null],
  });
  const tables: Table[] = [];
  const values = ["a", "b", "a", "c", "b", "d", "d", "a"];
  for (const [i, value] of values.entries()) {
    builder.append(value);
    if (i % 3 === 2) tables.push(new Table({ column: builder.flush() }));
  }
  tables.push(new Table({ column: builder.finish().flush() }));
  const table = tables[0]!.concat(...tables.slice(1));
  for (const [form, data] of [
    ["table", table],
    ["stream", tableToIPC(table, "stream")],
  ] as const) {
    const rows = await drain(await openArrow(data, strict), { column: "text" });
    t.deepEqual(
      rows.map(({ column }) => column),
      values,
      form,
    );
  }
});

test("a file has a size, a hash, and counts what was read", async (t) => {
  const path = join(folder, "visits.feather");
  const bytes = tableToIPC(new Table({ item: vectorFromArray(["a", "b"], new Utf8()) }), "file");
  await writeFile(path, bytes);
  const reader = await openArrow(path, strict);
  t.is(reader.name, "visits.feather");
  t.is(reader.bytes, bytes.length);
  t.true(reader.bytesRead < bytes.length);
  await drain(reader, { item: "text" });
  t.is(reader.bytesRead, bytes.length);
  t.is(reader.sha256(), createHash("sha256").update(bytes).digest("hex"));
});

test("rows count from 1 over batches, and errors name them", async (t) => {
  const { table } = tableOf(new Float64(), [1, Number.NaN, 3]);
  const reader = await openArrow(table, { ...strict, name: "visits" });
  const rows = await drain(reader, { column: (row) => row.line });
  t.deepEqual(
    rows.map(({ column }) => column),
    Array.from({ length: 23 }, (_, i) => i + 1),
  );
  await t.throwsAsync(
    drain(await openArrow(table, { ...strict, name: "visits" }), { column: "number" }),
    {
      instanceOf: RowError,
      message: 'visits, line 2, column "column": expected a number, got NaN',
    },
  );
});

test("an integer past 2^53 is no number", async (t) => {
  const table = new Table({ id: vectorFromArray([1n, 2n ** 53n], new Int64()) });
  await t.throwsAsync(drain(await openArrow(table, strict), { id: "number" }), {
    instanceOf: RowError,
    message:
      'table, line 2, column "id": expected a whole number within ±2^53, got 9007199254740992',
  });
});

test("a column that is not there, twice there, or nested is an error", async (t) => {
  const visit = new Struct([new Field("item", new Utf8())]);
  const table = new Table({
    user: vectorFromArray(["u"], new Utf8()),
    visits: vectorFromArray([[{ item: "a" }]], new List(new Field("visit", visit))),
  });
  const reader = await openArrow(table, { ...strict, aliases: { item: ["itemId"] } });
  t.throws(() => reader.column("item"), {
    instanceOf: DataError,
    message: 'table: there is no column "item" or "itemId"; there are "user", "visits"',
  });
  t.throws(() => reader.column(0), { message: /there is no column "0"/ });
  t.throws(() => reader.column("visits"), {
    instanceOf: DataError,
    message:
      /^table: column "visits" is of type List<.*>; texts, numbers, .* are read, a row an event$/,
  });
  const type = new Int32();
  const twice = {
    schema: {
      fields: [
        { name: "a", type },
        { name: "a", type },
      ],
    },
    batches: [],
  };
  const both = await openArrow(twice, strict);
  t.throws(() => both.column("a"), { message: 'table: 2 columns are named "a"' });
});

test("what is not Arrow is an error that names it", async (t) => {
  const path = join(folder, "visits.csv.arrow");
  await writeFile(path, "user,item\n1,2\n".repeat(20));
  const empty = join(folder, "empty.arrow");
  await writeFile(empty, "");
  for (const [data, message] of [
    [path, /^visits\.csv\.arrow: cannot be read as Arrow: /],
    [empty, "empty.arrow: cannot be read as Arrow: it is empty"],
    [join(folder, "absent.arrow"), "absent.arrow: there is no such file"],
    [folder, /cannot be read as Arrow: /],
    [Buffer.from("hello, this is not a table"), /^table: cannot be read as Arrow: /],
    [new Uint8Array(0), /it is empty/],
    [{} as ArrowData, "table: expected an Arrow table, the bytes of one, or a path"],
    [7 as unknown as ArrowData, /expected an Arrow table/],
  ] as const) {
    const failing = async () => drain(await openArrow(data, strict), { user: "text" });
    await t.throwsAsync(failing, { instanceOf: DataError, message });
  }
});

test("Feather of before Arrow is named", async (t) => {
  const bytes = Buffer.concat([Buffer.from("FEA1"), Buffer.alloc(64), Buffer.from("FEA1")]);
  const reading = openArrow(bytes, { ...strict, name: "visits.feather" });
  await t.throwsAsync(reading, {
    instanceOf: DataError,
    message:
      "visits.feather: cannot be read as Arrow: it is Feather version 1; write it again as version 2, or as Parquet",
  });
});

test("a file that is cut off anywhere is an error", async (t) => {
  const { table } = tableOf(new Utf8(), ["a", "b", long]);
  const bytes = tableToIPC(table, "file");
  for (let length = 0; length < bytes.length; length += 13) {
    const failing = async () =>
      drain(await openArrow(bytes.subarray(0, length), strict), { column: "text" });
    await t.throwsAsync(failing, { instanceOf: DataError }, `${length} bytes`);
  }
});

test("a stream that is cut off gives whole batches or an error", async (t) => {
  const { table, expand } = tableOf(new Utf8(), ["a", "b", long]);
  const bytes = tableToIPC(table, "stream");
  const expected = expand(["a", "b", long]);
  for (let length = 0; length < bytes.length; length += 13) {
    try {
      const rows = await drain(await openArrow(bytes.subarray(0, length), strict), {
        column: "text",
      });
      t.deepEqual(
        rows.map(({ column }) => column),
        expected.slice(0, rows.length),
      );
      t.is(rows.length % 5, 0);
    } catch (error) {
      t.true(error instanceof DataError, `${length} bytes: ${error}`);
    }
  }
});

test("buffers that contradict each other are an error, not garbage", async (t) => {
  const chunk = {
    type: { typeId: 5 },
    length: 2,
    offset: 0,
    nullCount: 0,
    values: Buffer.from("ab"),
    valueOffsets: Int32Array.of(0, 1, 2),
    children: [],
  };
  const read = async (change: object) => {
    const table = {
      schema: { fields: [{ name: "item", type: chunk.type }] },
      batches: [{ numRows: 2, data: { children: [{ ...chunk, ...change }] } }],
    };
    return drain(await openArrow(table, strict), { item: "text" });
  };
  t.deepEqual(await read({}), [{ item: "a" }, { item: "b" }]);
  const dictionary = {
    typeId: -1,
    dictionary: { typeId: 5 },
    indices: { typeId: 2, bitWidth: 32 },
  };
  for (const [change, message] of [
    [{ valueOffsets: Int32Array.of(0, 1) }, /has 2 values, expected 3/],
    [{ valueOffsets: Int32Array.of(0, 2, 1) }, /its offset 2 is 1, expected 2 to 2/],
    [{ valueOffsets: Int32Array.of(0, 1, 9) }, /its offset 2 is 9, expected 1 to 2/],
    [{ valueOffsets: undefined }, /has 0 values, expected 3/],
    [{ nullCount: 1, nullBitmap: Uint8Array.of(1), length: 9 }, /expected 1\d/],
    [
      { type: dictionary, values: Int32Array.of(0, 5), dictionary: { data: [{ ...chunk }] } },
      /code 5 is not in/,
    ],
    [{ type: { typeId: 2 }, values: Int32Array.of(1) }, /has 1 values, expected 2/],
    [{ type: { typeId: 6 }, length: 20, values: Uint8Array.of(1) }, /has 8 values, expected 20/],
    [{ type: { typeId: 24 }, values: new Uint8Array(16) }, /has 1 values, expected 2/],
  ] as const) {
    await t.throwsAsync(read(change), { instanceOf: DataError, message });
  }
});

/** A frame whose one block is stored; the codec of the reader is the one that is tested. */
const encoders = {
  [CompressionType.LZ4_FRAME]: (bytes: Uint8Array) => {
    const size = Buffer.alloc(4);
    size.writeUInt32LE(bytes.length + 2 ** 31);
    const parts = [Buffer.from("04224d18607000", "hex"), size, bytes, Buffer.alloc(4)];
    return Buffer.concat(bytes.length === 0 ? [parts[0]!, parts[3]!] : parts);
  },
  [CompressionType.ZSTD]: (bytes: Uint8Array) => {
    const header = Buffer.from("28b52ffda0000000000000000000", "hex").subarray(0, 12);
    header.writeUInt32LE(bytes.length, 5); // the content's size, in four bytes
    header.writeUIntLE(1 | (bytes.length << 3), 9, 3); // the last block, raw
    return Buffer.concat([header, bytes]);
  },
};

for (const [name, type] of [
  ["LZ4", CompressionType.LZ4_FRAME],
  ["Zstandard", CompressionType.ZSTD],
] as const) {
  test.serial(`an IPC file compressed by ${name} is read`, async (t) => {
    const { table, expand } = tableOf(new Utf8(), ["a", "b", long]);
    const before = compressionRegistry.get(type);
    compressionRegistry.set(type, { encode: encoders[type] });
    const bytes = tableToIPC(table, "file", type);
    compressionRegistry.set(type, before as never);
    const rows = await drain(await openArrow(bytes, strict), { column: "text" });
    t.deepEqual(
      rows.map(({ column }) => column),
      expand(["a", "b", long]),
    );
  });
}

test("aborting ends the reading", async (t) => {
  const { table } = tableOf(new Int32(), [1, 2, 3]);
  const stop = new AbortController();
  const reader = await openArrow(table, { ...strict, signal: stop.signal });
  const reason = new Error("enough");
  stop.abort(reason);
  t.is(await t.throwsAsync(drain(reader, { column: "number" })), reason);
});
