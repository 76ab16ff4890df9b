import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import fc from "fast-check";
import { fileSpool, longestValue } from "../../../src/data/sort/file-spool.js";
import type { Spool } from "../../../src/data/sort/spool.js";
import { DataError } from "../../../src/errors.js";

const folder = await mkdtemp(join(tmpdir(), "user-llm-spool-"));
test.after.always(() => rm(folder, { recursive: true }));
let spools = 0;
const spoolOf = (kind: Spool["kind"]) => fileSpool(join(folder, `${spools++}.spool`), kind);

test("gives texts back in any order, some twice", async (t) => {
  const texts = fc.array(fc.string({ unit: "grapheme", maxLength: 40 }), {
    minLength: 1,
    maxLength: 300,
  });
  await fc.assert(
    fc.asyncProperty(texts, fc.array(fc.nat(), { maxLength: 300 }), async (texts, picks) => {
      const spool = await spoolOf("text");
      for (const [i, text] of texts.entries()) {
        spool.append(text);
        if (i % 50 === 49) await spool.flush();
      }
      const rows = picks.map((pick) => pick % texts.length);
      t.is(await read(spool, rows), rows.map((row) => texts[row]).join(""));
      t.is(spool.rows, texts.length);
      t.is(spool.bytes, Buffer.byteLength(texts.join("")));
      await spool.close();
    }),
  );
});

test("gives bags back as int32", async (t) => {
  const spool = await spoolOf("bag");
  const bags = [[1, 2, 3], [], [-1, 2 ** 31 - 1, -(2 ** 31)], [7]];
  for (const bag of bags) spool.append(bag);
  const rows = Float64Array.of(3, 2, 1, 0);
  const lengths = new Float64Array(4);
  spool.lengths(rows, 4, lengths);
  t.deepEqual([...lengths], [4, 12, 0, 12]);
  const bytes = await spool.read(rows, 4);
  const values = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readInt32LE(4 * i));
  t.deepEqual(values, [7, -1, 2 ** 31 - 1, -(2 ** 31), 1, 2, 3]);
  await spool.close();
});

test("holds many pages, values longer than a page, and distant ones", async (t) => {
  const spool = await spoolOf("text");
  const length = (row: number) => (row % 1000 === 500 ? 3_000_000 : (row * 7919) % 5000);
  const textOf = (row: number) => String.fromCharCode(97 + (row % 26)).repeat(length(row));
  for (let row = 0; row < 5000; row++) {
    spool.append(textOf(row));
    if (row % 100 === 0) await spool.flush();
  }
  for (const step of [1, 2, 7, 613]) {
    const rows = Array.from({ length: Math.floor(1000 / step) }, (_, i) => (i * step * 17) % 5000);
    const bytes = await spool.read(Float64Array.from(rows), rows.length);
    t.true(bytes.equals(Buffer.from(rows.map(textOf).join(""))), `step ${step}`);
  }
  await spool.close();
});

test("appends between reads", async (t) => {
  const spool = await spoolOf("text");
  spool.append("one");
  t.is(await read(spool, [0]), "one");
  spool.append("two");
  t.is(await read(spool, [1, 0]), "twoone");
  await spool.close();
});

test("keeps nothing in memory but lengths, and no file once closed", async (t) => {
  const own = await mkdtemp(join(folder, "own-"));
  const spool = await fileSpool(join(own, "text.spool"), "text");
  const text = "x".repeat(50_000);
  const before = process.memoryUsage().arrayBuffers;
  for (let row = 0; row < 4000; row++) {
    spool.append(text);
    if (row % 20 === 0) await spool.flush();
  }
  t.is(spool.bytes, 200_000_000);
  t.true(process.memoryUsage().arrayBuffers - before < 150_000_000);
  await spool.close();
  t.deepEqual(await readdir(own), []);
});

test("refuses values that only a broken file has", async (t) => {
  const text = await spoolOf("text");
  t.throws(() => text.append("x".repeat(longestValue + 1)), {
    instanceOf: DataError,
    message: "a text has more than 64 MiB",
  });
  t.notThrows(() => text.append("x".repeat(longestValue)));
  const bag = await spoolOf("bag");
  t.throws(() => bag.append(Array.from({ length: longestValue / 4 + 1 }, () => 0)), {
    instanceOf: DataError,
  });
  await text.close();
  await bag.close();
});

test("says that its file cannot be made", async (t) => {
  await t.throwsAsync(fileSpool(join(folder, "none", "a.spool"), "text"), {
    instanceOf: DataError,
    message: /a\.spool: cannot make a temporary file: no such file or folder$/,
  });
});

async function read(spool: Spool, rows: readonly number[]): Promise<string> {
  return (await spool.read(Float64Array.from(rows), rows.length)).toString();
}
