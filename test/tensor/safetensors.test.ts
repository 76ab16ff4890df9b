import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import fc from "fast-check";
import { CheckpointError, NativeError, UsageError } from "../../src/errors.js";
import { gather } from "../../src/ops/gather.js";
import {
  memory,
  openSafetensors,
  saveSafetensors,
  type Tensor,
  tensor,
} from "../../src/tensor/index.js";

const golden = (name: string): string =>
  new URL(`../golden/safetensors/${name}.safetensors`, import.meta.url).pathname;

let folder = "";
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "user-llm-safetensors-"));
});
test.after.always(() => rm(folder, { recursive: true, force: true }));

let files = 0;
const freshPath = (): string => join(folder, `${files++}.safetensors`);

/** A file of a header, given as text or as JSON, and zeros. */
function fileOf(header: unknown, dataBytes: number): Buffer {
  const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, Buffer.alloc(dataBytes)]);
}

async function refusal(bytes: Buffer): Promise<string> {
  const path = freshPath();
  await writeFile(path, bytes);
  try {
    await using _ = await openSafetensors(path);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    return error.message.replace(`${path}: `, "");
  }
  return "accepted";
}

const tensorOf = (
  dtype: string,
  shape: unknown,
  data_offsets: unknown,
): Record<string, unknown> => ({ dtype, shape, data_offsets });

test("reads every dtype that Python writes", async (t) => {
  await using file = await openSafetensors(golden("dtypes"));
  const ramp = [0, 1, 2, 3, 4, 5];
  const expected: Record<string, [stored: string, read: string, values: number[]]> = {
    f64: ["F64", "float32", ramp.map((x) => Math.fround(x / 7))],
    f32: ["F32", "float32", ramp.map((x) => Math.fround(Math.fround(x / 7) - 0.5))],
    f16: ["F16", "float32", ramp.map((x) => x - 2.5)],
    bf16: ["BF16", "float32", ramp.map((x) => x * 100)],
    i64: ["I64", "int32", ramp.map((x) => x - 3)],
    i32: ["I32", "int32", ramp.map((x) => (x === 0 ? 0 : x * -1000))],
    i16: ["I16", "int32", ramp.map((x) => x * 5000)],
    i8: ["I8", "int32", ramp.map((x) => x - 128)],
    u8: ["U8", "uint8", ramp.map((x) => x * 51)],
    bool: ["BOOL", "uint8", [0, 1, 0, 1, 0, 1]],
  };
  for (const [name, [stored, dtype, values]] of Object.entries(expected)) {
    using read = await file.read(name);
    const { bytes, ...info } = file.info(name);
    t.deepEqual(info, { dtype: stored as "F32", shape: [2, 3], file: golden("dtypes") }, name);
    t.is(bytes % 6, 0);
    t.is(read.dtype as string, dtype, name);
    t.deepEqual(read.shape, [2, 3]);
    t.deepEqual([...(await read.data())], values, name);
  }
  using scalar = await file.read("scalar");
  t.deepEqual(scalar.shape, []);
  t.is(await scalar.item(), 2.5);
  using empty = await file.read("empty");
  t.deepEqual(empty.shape, [0, 4]);
  t.deepEqual(file.metadata, { format: "pt" });
  t.deepEqual(file.names.toSorted(), [...Object.keys(expected), "scalar", "empty"].toSorted());
});

test("reads as another dtype when asked", async (t) => {
  await using file = await openSafetensors(golden("dtypes"));
  const read = async (name: string, dtype: "float64" | "bfloat16" | "uint8" | "int32") => {
    using result = await file.read(name, { dtype });
    t.is(result.dtype, dtype);
    return (await result.toArray()) as number[][];
  };
  t.deepEqual(
    (await read("f64", "float64")).flat(),
    [0, 1, 2, 3, 4, 5].map((x) => x / 7),
  );
  t.deepEqual((await read("bf16", "bfloat16")).flat(), [0, 100, 200, 300, 400, 500]);
  t.deepEqual((await read("f16", "bfloat16")).flat(), [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]);
  t.deepEqual((await read("i64", "float64")).flat(), [-3, -2, -1, 0, 1, 2]);
  t.deepEqual((await read("u8", "int32")).flat(), [0, 51, 102, 153, 204, 255]);
  await t.throwsAsync(file.read("i64", { dtype: "uint8" }), {
    instanceOf: CheckpointError,
    message: `${golden("dtypes")}: i64: element 0 is -3, I64 read as uint8 must be from 0 to 255`,
  });
  await t.throwsAsync(file.read("f32", { dtype: "int32" }), {
    message: `${golden("dtypes")}: f32: F32 cannot be read as int32`,
  });
  await t.throwsAsync(file.read("missing"), {
    instanceOf: CheckpointError,
    message: `${golden("dtypes")}: there is no tensor "missing"`,
  });
});

test("half precision is exact, subnormals and infinities too", async (t) => {
  await using file = await openSafetensors(golden("float16"));
  using halves = await file.read("halves");
  using floats = await file.read("floats");
  t.deepEqual(await halves.data(), await floats.data());
});

test("refuses 64-bit integers beyond int32, and booleans beyond 1", async (t) => {
  const path = freshPath();
  const bytes = fileOf(
    { big: tensorOf("I64", [2], [0, 16]), flag: tensorOf("BOOL", [2], [16, 18]) },
    18,
  );
  bytes.writeBigInt64LE(2n ** 31n - 1n, bytes.length - 18);
  bytes.writeBigInt64LE(-(2n ** 31n) - 1n, bytes.length - 10);
  bytes[bytes.length - 1] = 2;
  await writeFile(path, bytes);
  await using file = await openSafetensors(path);
  await t.throwsAsync(file.read("big"), {
    message:
      /big: element 1 is -2147483649, I64 read as int32 must be from -2147483648 to 2147483647$/,
  });
  await t.throwsAsync(file.read("flag"), { message: /flag: element 1 is 2, BOOL/ });
  using wide = await file.read("big", { dtype: "float64" });
  t.deepEqual(await wide.toArray(), [2 ** 31 - 1, -(2 ** 31) - 1]);
});

test("writes the same bytes as Python", async (t) => {
  await using file = await openSafetensors(golden("order"));
  const tensors = new Map<string, Tensor>();
  for (const name of file.names) {
    const stored = file.info(name).dtype;
    const dtype = { F64: "float64", BF16: "bfloat16" }[stored as string] as "float64" | undefined;
    tensors.set(name, await file.read(name, { dtype }));
  }
  const path = freshPath();
  await saveSafetensors(path, tensors);
  t.deepEqual(await readFile(path), await readFile(golden("order")));
  for (const tensor of tensors.values()) tensor.dispose();
});

test.serial("what was saved comes back", async (t) => {
  const before = memory().tensors;
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(
        fc.string({ unit: "grapheme" }).filter((name) => name !== "__metadata__"),
        fc.record({
          dtype: fc.constantFrom("float32", "float64", "bfloat16", "int32", "uint8"),
          shape: fc.array(fc.nat(4), { maxLength: 4 }),
        }),
        { maxKeys: 6 },
      ),
      fc.dictionary(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" })),
      async (described, metadata) => {
        const path = freshPath();
        const tensors = new Map<string, Tensor>();
        for (const [name, { dtype, shape }] of Object.entries(described)) {
          const size = shape.reduce((a, b) => a * b, 1);
          const values = Float64Array.from({ length: size }, (_, i) => (i * 37) % 101);
          tensors.set(name, tensor(values, { shape, dtype: dtype as "float32" }));
        }
        await saveSafetensors(path, tensors, { metadata });
        await using file = await openSafetensors(path);
        t.deepEqual(file.names.toSorted(), [...tensors.keys()].toSorted());
        t.deepEqual(file.metadata, { format: "pt", ...metadata });
        for (const [name, saved] of tensors) {
          using read = await file.read(name, { dtype: saved.dtype });
          t.deepEqual([read.dtype, read.shape], [saved.dtype, saved.shape]);
          t.deepEqual(await read.data(), await saved.data());
          saved.dispose();
        }
      },
    ),
    { numRuns: 40 },
  );
  t.is(memory().tensors, before);
});

test("reads tensors larger than a chunk, at an unaligned offset", async (t) => {
  const count = 3_000_001;
  const path = freshPath();
  const bytes = fileOf(
    { odd: tensorOf("U8", [1], [0, 1]), half: tensorOf("F16", [count], [1, 1 + 2 * count]) },
    1 + 2 * count,
  );
  const start = bytes.length - 2 * count;
  for (let i = 0; i < count; i++) bytes.writeUInt16LE(0x3c00 + (i % 1024), start + 2 * i);
  await writeFile(path, bytes);
  await using file = await openSafetensors(path);
  using half = await file.read("half");
  const data = await half.data();
  t.true(data.every((value, i) => value === 1 + (i % 1024) / 1024));
});

test("stores floating-point tensors as the dtype asked for", async (t) => {
  using weights = tensor([1, 1.00390625, -2.5]);
  using ids = tensor([1, 2], { dtype: "int32" });
  const path = freshPath();
  await saveSafetensors(path, { weights, ids }, { dtype: "bfloat16" });
  await using file = await openSafetensors(path);
  t.is(file.info("weights").dtype, "BF16");
  t.is(file.info("ids").dtype, "I32");
  const all = await file.readAll();
  t.deepEqual(await all.get("weights")!.toArray(), [1, 1, -2.5]);
  t.deepEqual(await all.get("ids")!.toArray(), [1, 2]);
  for (const tensor of all.values()) tensor.dispose();
});

test("shards, and finds them again by file, index and folder", async (t) => {
  const place = join(folder, "sharded");
  await mkdir(place);
  const path = join(place, "model.safetensors");
  const tensors = Object.fromEntries(
    ["a", "b", "c", "d"].map((name, i) => [name, tensor(new Float32Array(10).fill(i))]),
  );
  await saveSafetensors(path, tensors);
  await saveSafetensors(path, tensors, { maxShardBytes: 80 });
  t.deepEqual((await readdir(place)).toSorted(), [
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
  ]);
  for (const from of [place, `${path}.index.json`]) {
    await using file = await openSafetensors(from);
    t.deepEqual(file.names, ["a", "b", "c", "d"]);
    using c = await file.read("c");
    t.deepEqual(await c.data(), new Float32Array(10).fill(2));
  }
  await saveSafetensors(path, tensors, { maxShardBytes: 160 });
  await using whole = await openSafetensors(place);
  t.is(whole.info("a").file, path);
  for (const tensor of Object.values(tensors)) tensor.dispose();
});

test("an index that lies is refused", async (t) => {
  const place = join(folder, "index");
  await mkdir(place);
  using one = tensor([1]);
  await saveSafetensors(join(place, "x.safetensors"), { a: one, b: one });
  await saveSafetensors(join(folder, "outside.safetensors"), { a: one });
  const index = join(place, "model.safetensors.index.json");
  const refused = async (content: unknown): Promise<string> => {
    await writeFile(index, typeof content === "string" ? content : JSON.stringify(content));
    const error = await t.throwsAsync(openSafetensors(place), { instanceOf: CheckpointError });
    return error!.message.replaceAll(`${place}/`, "");
  };
  const both = { a: "x.safetensors", b: "x.safetensors" };
  const plain = (name: string): string =>
    `model.safetensors.index.json: a: ${name} must be the plain name of a file in the same folder`;
  t.is(
    await refused({ weight_map: { a: "../outside.safetensors" } }),
    plain("../outside.safetensors"),
  );
  t.is(await refused({ weight_map: { a: "/etc/passwd" } }), plain("/etc/passwd"));
  t.is(await refused({ weight_map: { a: ".." } }), plain(".."));
  t.is(await refused({ weight_map: { a: "..\\x" } }), plain("..\\\\x"));
  t.is(await refused({ weight_map: { a: "x\0" } }), plain("x\\u0000"));
  t.is(
    await refused({ weight_map: { ...both, c: "x.safetensors" } }),
    "model.safetensors.index.json: c: it is not in x.safetensors",
  );
  t.is(
    await refused({ weight_map: { a: "x.safetensors" } }),
    "x.safetensors: b: model.safetensors.index.json has it in no file",
  );
  t.regex(
    await refused({ weight_map: { a: "y.safetensors" } }),
    /^y.safetensors: cannot be read: ENOENT/,
  );
  t.regex(await refused({ weight_map: { a: 1 } }), /: a: its file must be a string$/);
  t.regex(await refused({ weight_map: [] }), /weight_map must be an object of file names$/);
  t.regex(await refused({ metadata: {} }), /it has no weight_map$/);
  t.regex(await refused(`{"a": ${"[".repeat(100_000)}`), /it is nested too deeply$/);
  t.regex(await refused('{"weight_map":{"a":"x","a":"x"}}'), /: a: the name is there twice$/);
  t.regex(await refused(""), /not a valid index, { expected$/);
  await writeFile(
    index,
    JSON.stringify({ metadata: { total_size: 8, x: [null, { y: -1.5e3 }] }, weight_map: both }),
  );
  await using file = await openSafetensors(place);
  t.deepEqual(file.names, ["a", "b"]);
});

test("refuses what is not a checkpoint", async (t) => {
  const place = join(folder, "nothing");
  await mkdir(place);
  await t.throwsAsync(openSafetensors(place), {
    instanceOf: CheckpointError,
    message: `${place}: the folder has neither model.safetensors nor model.safetensors.index.json`,
  });
  await t.throwsAsync(openSafetensors(join(place, "absent.safetensors")), {
    instanceOf: CheckpointError,
    message: /absent\.safetensors: cannot be read: ENOENT/,
  });
  await t.throwsAsync(openSafetensors("/dev/null"), { message: "/dev/null: not a regular file" });
});

const layoutFaults: [title: string, header: unknown, dataBytes: number, message: string][] = [
  ["not JSON", "hello", 0, "header: not a valid header, { expected"],
  ["a space first", " {}", 0, "header: not a valid header, { expected"],
  ["an array", "[]", 0, "header: not a valid header, { expected"],
  ["an open object", '{"a":', 0, "a: must be an object with dtype, shape and data_offsets"],
  ["an open string", '{"a', 0, "header: not a valid header, it ends inside a string"],
  ["a second value", "{} {}", 0, "header: not a valid header, something follows its }"],
  ["a trailing comma", '{"__metadata__":{},}', 0, 'header: not a valid header, " expected'],
  [
    "arrays in arrays",
    `{"a":${"[".repeat(1e6)}`,
    0,
    "a: must be an object with dtype, shape and data_offsets",
  ],
  [
    "objects in objects",
    '{"a":'.repeat(1e5),
    0,
    'a: "a" is unknown or there twice; a tensor has dtype, shape and data_offsets',
  ],
  ["a number as metadata", { __metadata__: { a: 1 } }, 0, '__metadata__: "a" must be a string'],
  [
    "metadata that is a string",
    { __metadata__: "a" },
    0,
    "__metadata__: must be an object of strings",
  ],
  [
    "no dtype",
    { a: { shape: [], data_offsets: [0, 0] } },
    0,
    "a: must have dtype, shape and data_offsets [begin, end]",
  ],
  [
    "an unknown dtype",
    { a: tensorOf("F8_E4M3", [1], [0, 1]) },
    1,
    "a: dtype F8_E4M3 is not one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL",
  ],
  [
    "a dtype of Object",
    { a: tensorOf("toString", [1], [0, 1]) },
    1,
    "a: dtype toString is not one of F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL",
  ],
  [
    "a negative size",
    { a: tensorOf("U8", [-1], [0, 1]) },
    1,
    "a: shape must hold whole numbers from 0 on",
  ],
  [
    "half a size",
    { a: tensorOf("U8", [0.5], [0, 1]) },
    1,
    "a: shape must hold whole numbers from 0 on",
  ],
  [
    "a size with an exponent",
    '{"a":{"shape":[1e3]}}',
    1,
    "a: shape must hold whole numbers from 0 on",
  ],
  [
    "a size of null",
    { a: tensorOf("U8", [null], [0, 1]) },
    1,
    "a: shape must hold whole numbers from 0 on",
  ],
  ["a leading zero", '{"a":{"shape":[01]}}', 1, "a: shape has a number with a leading zero"],
  [
    "a size above 2^53",
    '{"a":{"shape":[9007199254740993]}}',
    1,
    "a: shape has a number above 2^53 - 1",
  ],
  [
    "many dimensions",
    { a: tensorOf("U8", new Array(65).fill(1), [0, 1]) },
    1,
    "a: shape has more than 64 numbers",
  ],
  [
    "a product beyond 2^53",
    { a: tensorOf("F32", [2 ** 40, 2 ** 40], [0, 4]) },
    4,
    "a: data_offsets [0, 4] hold 4 bytes, but F32 [1099511627776, 1099511627776] takes more than there can be",
  ],
  [
    "a product that wraps to 4 bytes in 64 bits",
    { a: tensorOf("F32", [2 ** 32, 2 ** 32 + 1], [0, 4]) },
    4,
    "a: data_offsets [0, 4] hold 4 bytes, but F32 [4294967296, 4294967297] takes more than there can be",
  ],
  [
    "three offsets",
    { a: tensorOf("U8", [1], [0, 1, 1]) },
    1,
    "a: data_offsets has more than 2 numbers",
  ],
  [
    "one offset",
    { a: tensorOf("U8", [1], [0]) },
    1,
    "a: must have dtype, shape and data_offsets [begin, end]",
  ],
  [
    "offsets in the wrong order",
    { a: tensorOf("U8", [1], [1, 0]) },
    1,
    "a: data_offsets [1, 0] must be in order and inside the 1 bytes of data",
  ],
  [
    "offsets beyond the end",
    { a: tensorOf("U8", [2], [0, 2]) },
    1,
    "a: data_offsets [0, 2] must be in order and inside the 1 bytes of data",
  ],
  [
    "a size that is not the shape's",
    { a: tensorOf("F32", [1], [0, 8]) },
    8,
    "a: data_offsets [0, 8] hold 8 bytes, but F32 [1] takes 4",
  ],
  [
    "an overlap",
    { a: tensorOf("U8", [2], [0, 2]), b: tensorOf("U8", [2], [1, 3]) },
    3,
    "b: it begins at 1 of the data, where 2 is next; tensors must not overlap",
  ],
  [
    "two names for one place",
    { a: tensorOf("U8", [2], [0, 2]), b: tensorOf("U8", [2], [0, 2]) },
    2,
    "b: it begins at 0 of the data, where 2 is next; tensors must not overlap",
  ],
  [
    "a gap",
    { a: tensorOf("U8", [1], [0, 1]), b: tensorOf("U8", [1], [2, 3]) },
    3,
    "b: it begins at 2 of the data, where 1 is next; tensors must leave no gap",
  ],
  [
    "bytes before the first tensor",
    { a: tensorOf("U8", [1], [1, 2]) },
    2,
    "a: it begins at 1 of the data, where 0 is next; tensors must leave no gap",
  ],
  [
    "bytes after the last tensor",
    { a: tensorOf("U8", [1], [0, 1]) },
    2,
    "header: its tensors take 1 bytes, but the file has 2",
  ],
  [
    "a name twice",
    '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}',
    0,
    "a: the name is there twice",
  ],
  [
    "a dtype twice",
    '{"a":{"dtype":"U8","dtype":"U8"}}',
    0,
    'a: "dtype" is unknown or there twice; a tensor has dtype, shape and data_offsets',
  ],
  ["metadata twice", '{"__metadata__":{},"__metadata__":{}}', 0, "__metadata__: it is there twice"],
  [
    "a metadata key twice",
    '{"__metadata__":{"a":"","a":""}}',
    0,
    '__metadata__: "a" is there twice',
  ],
  ["a long name", `{"${"a".repeat(5000)}":{}}`, 0, "header: a string is longer than 4096 bytes"],
  ["a bad escape", '{"\\q":{}}', 0, "header: not a valid header, a string is not valid JSON"],
];
for (const [title, header, dataBytes, message] of layoutFaults)
  test(`refuses ${title}`, async (t) => {
    t.is(await refusal(fileOf(header, dataBytes)), message);
  });

test("refuses text that is not UTF-8", async (t) => {
  const bytes = fileOf('{"?":{}}', 0);
  bytes[10] = 0xff;
  t.is(await refusal(bytes), "header: not a valid header, a string is not valid JSON");
});

test("refuses more than 100,000 tensors", async (t) => {
  const entry = JSON.stringify(tensorOf("U8", [0], [0, 0]));
  const names = Array.from({ length: 100_001 }, (_, i) => `"${i}":${entry}`);
  t.is(
    await refusal(fileOf(`{${names.join(",")}}`, 0)),
    "100000: there are more than 100000 tensors",
  );
});

test("refuses a file truncated at any length", async (t) => {
  const bytes = await readFile(golden("dtypes"));
  for (let length = 0; length < bytes.length; length += length < 900 ? 1 : 7)
    t.not(await refusal(bytes.subarray(0, length)), "accepted", `${length} bytes`);
});

test("a damaged header is refused or still describes the file", async (t) => {
  const bytes = await readFile(golden("dtypes"));
  const end = 8 + Number(bytes.readBigUInt64LE());
  for (let bit = 0; bit < end * 8; bit += 3) {
    const damaged = Buffer.from(bytes);
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    const path = freshPath();
    await writeFile(path, damaged);
    try {
      await using file = await openSafetensors(path);
      for (const tensor of (await file.readAll()).values()) tensor.dispose();
    } catch (error) {
      t.true(error instanceof CheckpointError, `bit ${bit}: ${error}`);
    }
  }
});

test("any header text is refused or read", async (t) => {
  const piece = fc.constantFrom(
    ...[
      "{",
      "}",
      "[",
      "]",
      ":",
      ",",
      '"',
      '"a"',
      '"dtype"',
      '"U8"',
      '"shape"',
      '"data_offsets"',
      "[0]",
      "[0,0]",
      "0",
      "1",
      "-1",
      "null",
      '"__metadata__"',
      "\\",
      " ",
      "\0",
    ],
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 30 }), fc.nat(3), async (pieces, dataBytes) => {
      t.is(typeof (await refusal(fileOf(`{${pieces.join("")}`, dataBytes))), "string");
    }),
    { numRuns: 200 },
  );
});

test.serial("refusing a hostile file takes little memory and time", async (t) => {
  const claim = Buffer.alloc(16);
  for (const length of [100_000_001n, 2n ** 63n, 2n ** 64n - 1n, 9n]) {
    claim.writeBigUInt64LE(length);
    t.regex(
      await refusal(claim),
      /^header: its length is \d+, must be at most 8 \(the file has 16 bytes\)$/,
    );
  }
  const path = freshPath();
  const refused = async (start: string, length: bigint): Promise<void> => {
    const file = await open(path, "w");
    claim.writeBigUInt64LE(length);
    await file.write(claim, 0, 8, 0);
    await file.write(start, 8);
    await file.truncate(200_000_000);
    await file.close();
    const { rss } = process.memoryUsage();
    const begin = performance.now();
    await t.throwsAsync(openSafetensors(path), { instanceOf: CheckpointError });
    t.true(performance.now() - begin < 1000);
    t.true(process.memoryUsage().rss - rss < 10e6);
  };
  await refused("{", 100_000_001n);
  await refused("{", 99_999_999n);
  await refused(
    `{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}`,
    90_000_000n,
  );
});

test("a refused save leaves no file behind and keeps the old one", async (t) => {
  const place = join(folder, "save");
  await mkdir(place);
  const path = join(place, "model.safetensors");
  using one = tensor([1]);
  await saveSafetensors(path, { one });
  const before = await readFile(path);

  const gone = tensor([2]);
  gone.dispose();
  await t.throwsAsync(saveSafetensors(path, { one, two: gone }), { instanceOf: UsageError });
  using failed = gather(one, tensor([3], { dtype: "int32" }), 0);
  await t.throwsAsync(saveSafetensors(path, { one, failed }), { instanceOf: NativeError });
  await t.throwsAsync(saveSafetensors(path, { __metadata__: one }), { instanceOf: UsageError });
  await t.throwsAsync(saveSafetensors(path, { "\ud800": one }), { instanceOf: UsageError });
  await t.throwsAsync(saveSafetensors(join(place, "model.bin"), { one }), {
    instanceOf: UsageError,
  });
  t.deepEqual(await readdir(place), ["model.safetensors"]);
  t.deepEqual(await readFile(path), before);

  await t.throwsAsync(saveSafetensors(join(place, "absent", "x.safetensors"), { one }), {
    instanceOf: CheckpointError,
    message: /absent\/x\.safetensors: cannot be written: ENOENT/,
  });
  await mkdir(join(place, "folder.safetensors"));
  await t.throwsAsync(saveSafetensors(join(place, "folder.safetensors"), { one }), {
    instanceOf: CheckpointError,
    message: /folder\.safetensors: cannot be written: /,
  });
  t.deepEqual((await readdir(place)).toSorted(), ["folder.safetensors", "model.safetensors"]);
});

const python = process.env.USER_LLM_PYTHON;
(python ? test : test.skip)("Python reads what we write (USER_LLM_PYTHON)", async (t) => {
  const path = freshPath();
  const tensors = {
    weights: tensor([
      [1.5, -2],
      [0.25, 3],
    ]),
    halves: tensor([1, 2, 3], { dtype: "bfloat16" }),
    ids: tensor([-1, 7], { dtype: "int32" }),
    mask: tensor([0, 1, 255], { dtype: "uint8" }),
    exact: tensor(0.1, { dtype: "float64" }),
    none: tensor([], { shape: [0, 3] }),
    'odd "name" é': tensor([1]),
  };
  await saveSafetensors(path, tensors, { metadata: { origin: "user-llm" } });
  const script = `
import json, sys
from safetensors import safe_open
with safe_open(sys.argv[1], "pt") as file:
    tensors = {name: file.get_tensor(name) for name in file.keys()}
    print(json.dumps([file.metadata(), {n: [str(t.dtype), t.tolist(), list(t.shape)] for n, t in tensors.items()}]))
`;
  const { stdout, stderr } = spawnSync(python!, ["-c", script, path], { encoding: "utf8" });
  t.deepEqual(stdout === "" ? stderr : JSON.parse(stdout), [
    { format: "pt", origin: "user-llm" },
    {
      weights: [
        "torch.float32",
        [
          [1.5, -2],
          [0.25, 3],
        ],
        [2, 2],
      ],
      halves: ["torch.bfloat16", [1, 2, 3], [3]],
      ids: ["torch.int32", [-1, 7], [2]],
      mask: ["torch.uint8", [0, 1, 255], [3]],
      exact: ["torch.float64", 0.1, []],
      none: ["torch.float32", [], [0, 3]],
      'odd "name" é': ["torch.float32", [1], [1]],
    },
  ]);
  for (const tensor of Object.values(tensors)) tensor.dispose();
});

const models = process.env.USER_LLM_SHARED
  ? join(process.env.USER_LLM_SHARED, "models")
  : new URL("../../../shared/models", import.meta.url).pathname;
for (const [name, tensors, elements] of [
  ["tinystories-656k-hf", 20, 656_000],
  ["tinystories-instruct-3m-hf", 108, 3_410_560],
] as const)
  (existsSync(join(models, name)) ? test : test.skip)(`reads ${name}`, async (t) => {
    await using file = await openSafetensors(join(models, name));
    const all = await file.readAll();
    t.is(all.size, tensors);
    t.is(
      [...all.values()].reduce((sum, { size }) => sum + size, 0),
      elements,
    );
    for (const tensor of all.values()) {
      t.true((await tensor.data()).every(Number.isFinite));
      tensor.dispose();
    }
  });
