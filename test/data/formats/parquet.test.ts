import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import test from "ava";
import fc from "fast-check";
import type { SchemaElement } from "hyparquet";
import { type ColumnSource, parquetWriteBuffer } from "hyparquet-writer";
import { Dictionary } from "../../../src/data/dictionary.js";
import { openParquet } from "../../../src/data/formats/parquet.js";
import { DataError, RowError } from "../../../src/errors.js";
import { drain, type Read, strict } from "./drain.js";

let folder: string;
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "user-llm-parquet-"));
});
test.after.always(() => rm(folder, { recursive: true }));

/** Writes a query's result with DuckDB. Returns the path. */
async function written(name: string, query: string, options: string): Promise<string> {
  const path = join(folder, `${name}.parquet`);
  const connection = await (await DuckDBInstance.create()).connect();
  await connection.run(`COPY (${query}) TO '${path}' (FORMAT parquet, ${options})`);
  connection.closeSync();
  return path;
}

/** Writes columns with hyparquet-writer. Returns the path. */
async function saved(
  name: string,
  columnData: ColumnSource[],
  rowGroupSize: number | number[] = 1000,
  schema?: SchemaElement[],
): Promise<string> {
  const path = join(folder, `${name}.parquet`);
  const bytes = parquetWriteBuffer({ columnData, rowGroupSize, ...(schema && { schema }) });
  await writeFile(path, new Uint8Array(bytes));
  return path;
}

const visits = `
  SELECT 'user ' || (i % 700) AS "user", i * 7 AS item, TIMESTAMP '2020-09-13 12:26:40' + INTERVAL (i) SECOND AS time,
    CASE WHEN i % 5 = 0 THEN NULL ELSE i / 4 END AS rating,
    CASE WHEN i % 3 = 0 THEN NULL WHEN i % 3 = 1 THEN [] ELSE ['a' || i % 10, 'b'] END AS tags
  FROM range(5000) t(i) ORDER BY i`;

function visit(i: number): object {
  return {
    user: `user ${i % 700}`,
    item: i * 7,
    time: 1_600_000_000_000 + i * 1000,
    rating: i % 5 === 0 ? undefined : i / 4,
    tags: i % 3 === 0 ? undefined : i % 3 === 1 ? [] : [`a${i % 10}`, "b"],
  };
}

const reads: Record<string, Read> = {
  user: "text",
  item: "number",
  time: "moment",
  rating: "number",
  tags: (row, column) => row.value(column) ?? undefined,
};

for (const codec of ["uncompressed", "snappy", "gzip", "zstd", "lz4_raw", "brotli"]) {
  test(`a file compressed by ${codec} is read, row group by row group`, async (t) => {
    const path = await written(codec, visits, `COMPRESSION ${codec}, ROW_GROUP_SIZE 2048`);
    const reader = await openParquet(path, strict);
    t.is(reader.name, `${codec}.parquet`);
    const bytes = await readFile(path);
    t.is(reader.bytes, bytes.length);
    t.is(reader.bytesRead, 0);
    const rows = await drain(reader, reads);
    t.deepEqual(
      rows,
      Array.from({ length: 5000 }, (_, i) => visit(i)),
    );
    t.is(reader.bytesRead, bytes.length);
    t.is(reader.sha256(), createHash("sha256").update(bytes).digest("hex"));
  });
}

test("a row group larger than a piece is read in pieces, with indices of pages and without", async (t) => {
  const count = 300_000;
  const data = Array.from({ length: count }, (_, i) => `u${i % 50_000}`);
  const item = Int32Array.from({ length: count }, (_, i) => i);
  const tags = Array.from({ length: count }, (_, i) => (i % 2 === 0 ? [`t${i % 9}`] : []));
  for (const offsetIndex of [true, false]) {
    const path = await saved(
      `large-${offsetIndex}`,
      [
        { name: "user", data, offsetIndex },
        { name: "item", data: item, offsetIndex },
        { name: "tags", data: tags, offsetIndex },
      ],
      [200_000, 100_000],
      [
        { name: "root", num_children: 3 },
        { name: "user", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "REQUIRED" },
        { name: "item", type: "INT32", repetition_type: "REQUIRED" },
        { name: "tags", repetition_type: "OPTIONAL", num_children: 1, converted_type: "LIST" },
        { name: "list", repetition_type: "REPEATED", num_children: 1 },
        {
          name: "element",
          repetition_type: "OPTIONAL",
          type: "BYTE_ARRAY",
          converted_type: "UTF8",
        },
      ],
    );
    const reader = await openParquet(path, strict);
    const [user, place, bag] = [
      reader.column("user"),
      reader.column("item"),
      reader.column("tags"),
    ];
    let next = 0;
    let wrong = 0;
    for await (const block of reader.rows()) {
      for (const row of block) {
        const same =
          row.text(user) === data[next] &&
          row.number(place) === next &&
          row.line === next + 1 &&
          String(row.value(bag)) === String(tags[next]);
        if (!same) wrong++;
        next++;
      }
    }
    await reader.close();
    t.deepEqual([next, wrong], [count, 0]);
  }
});

for (const [what, query, read, expected] of [
  ["bigint", "SELECT unnest([-5, 9007199254740991])::BIGINT AS x", "number", [-5, 2 ** 53 - 1]],
  [
    "bigint as text",
    "SELECT unnest([-9223372036854775807, 3])::BIGINT AS x",
    "text",
    ["-9223372036854775807", "3"],
  ],
  [
    "unsigned",
    "SELECT unnest([18446744073709551615, 3])::UBIGINT AS x",
    "text",
    ["18446744073709551615", "3"],
  ],
  ["small", "SELECT unnest([-5, 100])::TINYINT AS x", "number", [-5, 100]],
  ["float", "SELECT unnest([0.5, -2])::FLOAT AS x", "number", [0.5, -2]],
  ["decimal", "SELECT unnest([4.5, 0.25])::DECIMAL(6, 2) AS x", "number", [4.5, 0.25]],
  ["boolean", "SELECT unnest([true, false]) AS x", "text", ["true", "false"]],
  ["enum", "SELECT unnest(['a', 'b'])::ENUM('b', 'a') AS x", "text", ["a", "b"]],
  [
    "uuid",
    "SELECT unnest(['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'])::UUID AS x",
    "text",
    ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
  ],
  ["empty texts", "SELECT unnest(['', 'é']) AS x", "text", [undefined, "é"]],
  [
    "seconds",
    "SELECT unnest(['1969-12-31 23:59:59', '2020-09-13 12:26:40'])::TIMESTAMP_S AS x",
    "moment",
    [-1000, 1.6e12],
  ],
  ["microseconds", "SELECT make_timestamp(unnest([-1, 1001])::BIGINT) AS x", "moment", [-1, 1]],
  [
    "nanoseconds",
    "SELECT make_timestamp_ns(unnest([-1, 1000001])::BIGINT) AS x",
    "moment",
    [-1, 1],
  ],
  ["with zone", "SELECT unnest(['2020-09-13 14:26:40+02'])::TIMESTAMPTZ AS x", "moment", [1.6e12]],
  ["date", "SELECT unnest(['1970-01-02', '1969-12-31'])::DATE AS x", "moment", [864e5, -864e5]],
  [
    "date as text",
    "SELECT unnest(['1970-01-02'])::DATE AS x",
    "text",
    ["1970-01-02T00:00:00.000Z"],
  ],
  ["json", `SELECT unnest(['{"a": 1}'])::JSON AS x`, "value", [{ a: 1 }]],
  ["whole list", "SELECT unnest([[1, 2], [3]]) AS x", "value", [[1, 2], [3]]],
] as const) {
  test(`a column of ${what} is read`, async (t) => {
    const path = await written(what, query, "COMPRESSION snappy");
    const rows = await drain(await openParquet(path, strict), { x: read });
    t.deepEqual(
      rows.map(({ x }) => x),
      expected as unknown,
    );
  });
}

test("only the mapped columns are read", async (t) => {
  const noise = Array.from({ length: 4000 }, (_, i) =>
    createHash("sha256").update(`${i}`).digest("hex"),
  );
  const item = Int32Array.from({ length: 4000 }, (_, i) => i);
  const path = await saved("wide", [
    { name: "noise", data: noise, type: "STRING", encoding: "PLAIN", codec: "UNCOMPRESSED" },
    { name: "item", data: item },
  ]);
  const bytes = await readFile(path);
  const start = bytes.indexOf(noise[3990]!);
  t.true(start > 0);
  bytes.fill(0xff, start - 20_000, start); // the other column is damaged
  await writeFile(path, bytes);
  const rows = await drain(await openParquet(path, strict), { item: "number" });
  t.is(rows.length, 4000);
  const both = async () => drain(await openParquet(path, strict), { noise: "text" });
  await t.throwsAsync(both, { instanceOf: DataError });
});

test("names enter a dictionary; an integer past 2^53 is no number", async (t) => {
  const dictionary = new Dictionary();
  const path = await written(
    "ids",
    "SELECT unnest([9007199254740993, 5, 9007199254740993])::BIGINT AS id",
    "COMPRESSION zstd",
  );
  const rows = await drain(await openParquet(path, strict), {
    id: (row, column) => row.index(column, dictionary),
  });
  t.deepEqual(rows, [{ id: 0 }, { id: 1 }, { id: 0 }]);
  t.deepEqual([...dictionary.names()], ["9007199254740993", "5"]);
  await t.throwsAsync(drain(await openParquet(path, strict), { id: "number" }), {
    instanceOf: RowError,
    message: /^ids\.parquet, line 1, column "id": expected a whole number within ±2\^53, got 900/,
  });
});

test("a column that is not there, or nested, is an error with those there are", async (t) => {
  const query =
    "SELECT 'u' AS user_id, {'a': 1} AS place, [{'item': 'x'}] AS events, 'b'::BLOB AS raw";
  const reader = await openParquet(await written("nested", query, "COMPRESSION snappy"), strict);
  t.throws(() => reader.column("user"), {
    instanceOf: DataError,
    message:
      'nested.parquet: there is no column "user"; there are "user_id", "place", "events", "raw"',
  });
  t.throws(() => reader.column(0), { message: /there is no column "0"/ });
  for (const name of ["place", "events"]) {
    t.throws(() => reader.column(name), {
      instanceOf: DataError,
      message: new RegExp(
        `column "${name}" is of type .*; texts, numbers, timestamps and lists of those are read`,
      ),
    });
  }
  await reader.close();
});

test("bytes that are no text are an error", async (t) => {
  const path = await saved("bytes", [
    { name: "x", data: [Uint8Array.of(0xff, 0xfe)], type: "BYTE_ARRAY" },
  ]);
  await t.throwsAsync(async () => drain(await openParquet(path, strict), { x: "text" }), {
    instanceOf: DataError,
    message: /^bytes\.parquet: cannot be read as Parquet: .*utf-8/,
  });
});

test("a page of nulls may have no byte, whatever its codec", async (t) => {
  for (const codec of ["SNAPPY", "GZIP", "ZSTD"] as const) {
    const path = join(folder, `nulls-${codec}.parquet`);
    const columnData: ColumnSource[] = [
      { name: "user", data: ["ana", "ben"], type: "STRING", codec: "UNCOMPRESSED" },
      { name: "note", data: [null, null], type: "STRING", encoding: "PLAIN" },
    ];
    const compressors = { [codec]: (bytes: Uint8Array) => bytes }; // of no values: no bytes
    await writeFile(path, new Uint8Array(parquetWriteBuffer({ columnData, codec, compressors })));
    t.deepEqual(await drain(await openParquet(path, strict), { user: "text", note: "text" }), [
      { user: "ana", note: undefined },
      { user: "ben", note: undefined },
    ]);
  }
});

test("a file without rows has none", async (t) => {
  const path = await written("none", "SELECT 1 AS x WHERE false", "COMPRESSION snappy");
  t.deepEqual(await drain(await openParquet(path, strict), { x: "number" }), []);
});

test("what is not Parquet is an error that names it", async (t) => {
  for (const [name, content, message] of [
    [
      "text.parquet",
      "user,item\n1,2\n".repeat(10),
      /^text\.parquet: cannot be read as Parquet: .*PAR1/,
    ],
    ["empty.parquet", "", /^empty\.parquet: cannot be read as Parquet: /],
    ["short.parquet", "PAR1", /^short\.parquet: cannot be read as Parquet: /],
    [
      "huge.parquet",
      Buffer.from("50415231ffffff7f50415231", "hex"),
      /metadata length 2147483647 exceeds/,
    ],
  ] as const) {
    await writeFile(join(folder, name), content);
    await t.throwsAsync(openParquet(join(folder, name), strict), {
      instanceOf: DataError,
      message,
    });
  }
  await t.throwsAsync(openParquet(join(folder, "absent.parquet"), strict), {
    instanceOf: DataError,
    message: "absent.parquet: there is no such file",
  });
});

test("a file that is cut off anywhere is an error", async (t) => {
  const bytes = await readFile(
    await written("whole", visits, "COMPRESSION zstd, ROW_GROUP_SIZE 2048"),
  );
  const path = join(folder, "cut.parquet");
  for (let length = 0; length < bytes.length; length += 1999) {
    await writeFile(path, bytes.subarray(0, length));
    await t.throwsAsync(openParquet(path, strict), { instanceOf: DataError }, `${length} bytes`);
  }
});

test("a file that got shorter after it was opened is an error", async (t) => {
  const path = await written("shrinking", visits, "COMPRESSION zstd, ROW_GROUP_SIZE 2048");
  const reader = await openParquet(path, strict);
  await writeFile(path, "");
  await t.throwsAsync(drain(reader, { item: "number" }), {
    instanceOf: DataError,
    message: /it got shorter while it was read/,
  });
});

test("a damaged file gives rows or an error, and nothing else", async (t) => {
  const bytes = await readFile(
    await written("sound", `SELECT * FROM (${visits}) LIMIT 300`, "COMPRESSION snappy"),
  );
  const flip = fc.record({ at: fc.nat(bytes.length - 1), mask: fc.integer({ min: 1, max: 255 }) });
  let failed = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(flip, { minLength: 1, maxLength: 4 }),
      fc.nat(),
      async (flips, id) => {
        const path = join(folder, `damaged-${id}.parquet`);
        const damaged = Buffer.from(bytes);
        for (const { at, mask } of flips) damaged[at]! ^= mask;
        await writeFile(path, damaged);
        try {
          await drain(await openParquet(path, strict), {
            item: (row, column) => row.value(column),
            user: (row, column) => row.value(column),
            tags: (row, column) => row.value(column),
          });
        } catch (error) {
          failed++;
          if (!(error instanceof DataError)) throw error;
        } finally {
          await rm(path);
        }
      },
    ),
    { numRuns: 150, seed: 4 },
  );
  t.true(failed > 0);
});

test("aborting ends the reading", async (t) => {
  const stop = new AbortController();
  const path = await written("aborted", visits, "COMPRESSION snappy");
  const reader = await openParquet(path, { ...strict, signal: stop.signal });
  const reason = new Error("enough");
  stop.abort(reason);
  t.is(await t.throwsAsync(drain(reader, { item: "number" })), reason);
});
