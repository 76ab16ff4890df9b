import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Table, tableFromIPC } from "apache-arrow";
import test from "ava";
import fc from "fast-check";
import { ArrowFileWriter } from "../../../src/data/write/arrow-file-writer.js";
import { type ArrowColumn, arrowLayout } from "../../../src/data/write/arrow-layout.js";
import { DataError } from "../../../src/errors.js";

const folder = await mkdtemp(join(tmpdir(), "user-llm-arrow-"));
test.after.always(() => rm(folder, { recursive: true }));
let files = 0;

/** A value of each kind of column. */
interface Row {
  int32: number;
  int64: number;
  float64: number;
  timestamp: number;
  utf8: string;
  nullable: string | undefined;
  largeUtf8: string;
  int32List: number[];
}

const whole = fc.maxSafeInteger();
const anyRow = fc
  .tuple(
    fc.integer(),
    whole,
    fc.double({ noNaN: true }),
    whole,
    fc.string({ unit: "grapheme" }),
    fc.option(fc.string(), { nil: undefined }),
    fc.string({ unit: "binary" }),
    fc.array(fc.integer(), { maxLength: 5 }),
  )
  .map(([int32, int64, float64, timestamp, utf8, nullable, largeUtf8, int32List]): Row => {
    return { int32, int64, float64, timestamp, utf8, nullable, largeUtf8, int32List };
  });

test("a file of every kind of column reads back, whatever the blocks", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyRow, { maxLength: 50 }),
      fc.integer({ min: 1, max: 60 }),
      async (rows, blockRows) => {
        const { bytes, file } = await write(rows, blockRows);
        t.is(file.rows, rows.length);
        t.is(file.bytes, bytes.length);
        t.is(file.sha256, createHash("sha256").update(bytes).digest("hex"));
        const table = tableFromIPC(bytes);
        t.is(table.batches.length, 1);
        t.is(JSON.stringify(rowsOf(table)), JSON.stringify(rows));
        t.deepEqual((await write(rows, blockRows + 7)).bytes, bytes);
      },
    ),
    { numRuns: 60 },
  );
});

test("a file without rows has its schema and one batch", async (t) => {
  const { bytes } = await write([], 1);
  const table = tableFromIPC(bytes);
  t.is(table.numRows, 0);
  t.is(table.batches.length, 1);
  t.deepEqual(
    table.schema.fields.map(({ name, type, nullable }) => `${name}: ${type} ${nullable}`),
    [
      "int32: Int32 false",
      "int64: Int64 false",
      "float64: Float64 false",
      "timestamp: Timestamp<MILLISECOND, UTC> false",
      "utf8: Utf8 false",
      "nullable: Utf8 true",
      "largeUtf8: LargeUtf8 false",
      "int32List: List<Int32> false",
    ],
  );
});

test("columns are views of the file, aligned to 64 bytes", async (t) => {
  const rows = fc.sample(anyRow, { numRuns: 1000, seed: 1 });
  const { bytes } = await write(rows, 64);
  const file = new Uint8Array(new ArrayBuffer(bytes.length));
  file.set(bytes);
  const table = tableFromIPC(file);
  for (const name of ["int32", "int64", "float64", "timestamp"]) {
    const { data } = table.getChild(name)!;
    const values: Uint8Array = data[0]!.values;
    t.is(data.length, 1);
    t.is(values.buffer, file.buffer, name);
    t.is(values.byteOffset % 64, 0, name);
  }
  for (const name of ["utf8", "largeUtf8", "int32List"]) {
    const { valueOffsets, children, values } = table.getChild(name)!.data[0]!;
    t.is(valueOffsets.buffer, file.buffer, name);
    t.is(valueOffsets.byteOffset % 64, 0, name);
    const items = children[0]?.values ?? values;
    t.is(items.buffer, file.buffer, name);
    t.is(items.byteOffset % 64, 0, name);
  }
});

test("the layout of columns beyond 4 GiB needs no data", (t) => {
  const rows = 3_000_000_000;
  const columns: ArrowColumn[] = [
    { name: "item", type: "int32" },
    { name: "time", type: "timestamp" },
    { name: "text", type: "largeUtf8", bytes: 2 ** 42 + 1 },
  ];
  const layout = arrowLayout(columns, rows);
  const [item, time, text] = layout.columns;
  const start = layout.head.length;
  t.is(start % 64, 0);
  t.deepEqual(item!.values, { start, bytes: 12_000_000_000 });
  t.deepEqual(time!.values, { start: start + 12_000_000_000, bytes: 24_000_000_000 });
  t.deepEqual(text!.offsets, { start: start + 36_000_000_000, bytes: 24_000_000_008 });
  t.deepEqual(text!.values, { start: start + 60_000_000_064, bytes: 2 ** 42 + 1 });
  t.is(layout.footStart, start + 60_000_000_064 + 2 ** 42 + 64);
});

test("texts and lists beyond their offsets are refused", (t) => {
  const most = 2 ** 31 - 1;
  t.notThrows(() => arrowLayout([{ name: "id", type: "utf8", bytes: most }], 1));
  t.throws(() => arrowLayout([{ name: "id", type: "utf8", bytes: most + 1 }], 1), {
    instanceOf: DataError,
    message: 'column "id": at most 2147483647 bytes of text fit, got 2147483648',
  });
  t.notThrows(() => arrowLayout([{ name: "genres", type: "int32List", bytes: 4 * most }], 1));
  t.throws(() => arrowLayout([{ name: "genres", type: "int32List", bytes: 4 * most + 4 }], 1), {
    instanceOf: DataError,
    message: 'column "genres": at most 2147483647 values in lists fit, got 2147483648',
  });
});

test("a file that got less than was announced is not finished", async (t) => {
  const path = join(folder, "short.arrow");
  const writer = await ArrowFileWriter.create(path, [{ name: "item", type: "int32" }], 3);
  await writer.numbers("item", Int32Array.of(1, 2));
  await t.throwsAsync(writer.finish(), { message: /announced 3 rows and 12 bytes, got 2 and 8/ });
  await writer.close();
});

test("a file that cannot be made or written is a DataError", async (t) => {
  const columns: ArrowColumn[] = [{ name: "item", type: "int32" }];
  await t.throwsAsync(ArrowFileWriter.create(join(folder, "no", "a.arrow"), columns, 1), {
    instanceOf: DataError,
    message: /a\.arrow: cannot make the file: no such file or folder$/,
  });
  t.deepEqual(
    (await readdir(folder)).filter((name) => name === "no"),
    [],
  );
});

async function write(rows: readonly Row[], blockRows: number) {
  const path = join(folder, `${files++}.arrow`);
  const textBytes = (texts: readonly (string | undefined)[]) =>
    texts.reduce((sum, text) => sum + Buffer.byteLength(text ?? ""), 0);
  const columns: ArrowColumn[] = [
    { name: "int32", type: "int32" },
    { name: "int64", type: "int64" },
    { name: "float64", type: "float64" },
    { name: "timestamp", type: "timestamp" },
    { name: "utf8", type: "utf8", bytes: textBytes(rows.map((row) => row.utf8)) },
    {
      name: "nullable",
      type: "utf8",
      bytes: textBytes(rows.map((row) => row.nullable)),
      nulls: rows.filter((row) => row.nullable === undefined).length,
    },
    { name: "largeUtf8", type: "largeUtf8", bytes: textBytes(rows.map((row) => row.largeUtf8)) },
    {
      name: "int32List",
      type: "int32List",
      bytes: rows.reduce((sum, row) => sum + 4 * row.int32List.length, 0),
    },
  ];
  const writer = await ArrowFileWriter.create(path, columns, rows.length);
  for (let start = 0; start < rows.length; start += blockRows) {
    const block = rows.slice(start, start + blockRows);
    await Promise.all([
      writer.numbers(
        "int32",
        Int32Array.from(block, (row) => row.int32),
      ),
      writer.numbers(
        "int64",
        Float64Array.from(block, (row) => row.int64),
      ),
      writer.numbers(
        "float64",
        Float64Array.from(block, (row) => row.float64),
      ),
      writer.numbers(
        "timestamp",
        Float64Array.from(block, (row) => row.timestamp),
      ),
      ...(["utf8", "nullable", "largeUtf8"] as const).map((name) =>
        writer.values(
          name,
          Float64Array.from(block, (row) => {
            const text = row[name];
            return text === undefined ? -1 : Buffer.byteLength(text);
          }),
          Buffer.concat(block.map((row) => Buffer.from(row[name] ?? ""))),
        ),
      ),
      writer.values(
        "int32List",
        Float64Array.from(block, (row) => 4 * row.int32List.length),
        new Uint8Array(Int32Array.from(block.flatMap((row) => row.int32List)).buffer),
      ),
    ]);
  }
  const file = await writer.finish();
  await writer.close();
  const bytes = await readFile(path);
  await rm(path);
  return { file, bytes };
}

/** What apache-arrow reads, as `Row`s. */
function rowsOf(table: Table): Row[] {
  const value = (name: string, row: number) => table.getChild(name)!.get(row);
  const timestamps: BigInt64Array = table.getChild("timestamp")!.data[0]?.values;
  return Array.from({ length: table.numRows }, (_, row) => ({
    int32: value("int32", row),
    int64: Number(value("int64", row)),
    float64: value("float64", row),
    timestamp: Number(timestamps[row]),
    utf8: value("utf8", row),
    nullable: value("nullable", row) ?? undefined,
    largeUtf8: value("largeUtf8", row),
    int32List: [...value("int32List", row)],
  }));
}
