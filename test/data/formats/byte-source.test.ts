import { createHash } from "node:crypto";
import { chmod, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { gzipSync } from "node:zlib";
import test from "ava";
import fc from "fast-check";
import { ByteSource } from "../../../src/data/formats/byte-source.js";
import { DataError } from "../../../src/errors.js";
import { messageOf, textFiles } from "./text-file.js";

const write = textFiles(test);
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** The content, and what ended it. */
async function read(
  path: string,
  blockBytes?: number,
): Promise<{ content: Buffer; digest: string | undefined; bytesRead: number; error?: string }> {
  const source = await ByteSource.open(path, { blockBytes });
  const blocks: Buffer[] = [];
  let error: string | undefined;
  try {
    for (let block = await source.next(); block !== undefined; block = await source.next()) {
      blocks.push(Buffer.from(block));
    }
  } catch (thrown) {
    if (!(thrown instanceof DataError)) throw thrown;
    error = messageOf(thrown);
  } finally {
    await source.close();
  }
  const content = Buffer.concat(blocks);
  const { bytesRead } = source;
  return { content, digest: source.sha256(), bytesRead, ...(error === undefined ? {} : { error }) };
}

/** Bytes that gzip can only make longer. */
const noise = (length: number): Buffer => {
  const bytes = Buffer.alloc(length);
  for (let i = 0, x = 1; i < length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
};

test("gives the content of plain files and of gzip, in blocks of any size (property)", async (t) => {
  const members = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(members, fc.integer({ min: 1, max: 400 }), async (parts, blockBytes) => {
      const content = Buffer.concat(parts);
      // What begins like gzip is gzip, whatever its name.
      const plain = Buffer.concat([Buffer.from("-"), content]);
      const packed = Buffer.concat([gzipSync(""), ...parts.map((part) => gzipSync(part))]);
      const expected = { content: plain, digest: sha256(plain), bytesRead: plain.length };
      t.deepEqual(await read(await write(plain, "x.gz"), blockBytes), expected);
      t.deepEqual(await read(await write(packed), blockBytes), {
        content,
        digest: sha256(packed),
        bytesRead: packed.length,
      });
    }),
    { numRuns: 60 },
  );
});

test("reads large members, larger than a block of either kind", async (t) => {
  const content = Buffer.concat([noise(700_000), Buffer.alloc(3_000_000), noise(100_000)]);
  for (const bytes of [content, gzipSync(content)]) {
    const result = await read(await write(bytes));
    t.true(result.content.equals(content));
    t.is(result.digest, sha256(bytes));
  }
});

test("an empty file is empty", async (t) => {
  const empty = { content: Buffer.alloc(0), bytesRead: 0, digest: sha256(Buffer.alloc(0)) };
  t.deepEqual(await read(await write("")), empty);
});

test("gzip that is cut short gives what it has, and says how far that is", async (t) => {
  const content = noise(100_000);
  const packed = gzipSync(content);
  for (const length of [3, 9, 12, 5000, 70_000, packed.length - 8, packed.length - 1]) {
    const { content: got, error, digest } = await read(await write(packed.subarray(0, length)));
    t.true(content.subarray(0, got.length).equals(got));
    t.is(digest, undefined);
    const end = `after ${length} bytes (${got.length} inflated)`;
    t.is(error, `raw.txt: the gzip data is cut short, ${end}`);
    if (length === packed.length - 1) t.is(got.length, content.length);
  }
});

test("gzip that is corrupt is an error that names the place", async (t) => {
  const packed = gzipSync(noise(200_000));
  packed[packed.length - 6]! ^= 1; // the checksum
  const { error } = await read(await write(packed));
  t.regex(
    error ?? "",
    /^raw.txt: the gzip data is corrupt \(incorrect data check\), after \d+ bytes/,
  );

  const broken = gzipSync("x".repeat(100_000));
  broken.fill(0xff, 30, 60);
  const { error: second } = await read(await write(broken));
  t.regex(second ?? "", /^raw.txt: the gzip data is corrupt \(.+\), after \d+ bytes/);
});

test("zeros may follow gzip, nothing else", async (t) => {
  const packed = gzipSync("some text");
  for (const zeros of [1, 100, 200_000]) {
    const padded = Buffer.concat([packed, Buffer.alloc(zeros)]);
    const { content, digest, error } = await read(await write(padded));
    t.deepEqual([content.toString(), digest, error], ["some text", sha256(padded), undefined]);
  }
  const tails = ["xx", "plain text", "\0\0x", `${"\0".repeat(100_000)}x`];
  for (const tail of tails) {
    const { error } = await read(await write(Buffer.concat([packed, Buffer.from(tail)])));
    t.regex(error ?? "no error", /^raw.txt: the gzip data (is|goes on)/, tail);
  }
});

test("files that cannot be read are told apart", async (t) => {
  const path = await write("text");
  const folder = dirname(path);
  const refusal = (path: string) => t.throwsAsync(ByteSource.open(path), { instanceOf: DataError });
  t.is(
    (await refusal(join(folder, "missing.csv"))).message,
    `${join(folder, "missing.csv")}: cannot read: no such file or folder`,
  );
  t.is(
    (await refusal(join(path, "below"))).message,
    `${join(path, "below")}: cannot read: it, or a folder above it, is a file`,
  );
  await mkdir(join(folder, "sub"));
  t.regex(
    (await refusal(join(folder, "sub")))?.message ?? "",
    /sub: expected a file, got a folder$/,
  );
  await chmod(path, 0);
  if (process.getuid?.() !== 0) {
    t.regex((await refusal(path))?.message ?? "", /cannot read: permission denied$/);
  }
});

test("stops for a signal, with its reason", async (t) => {
  const path = await write(noise(1000));
  const reason = new Error("enough");
  await t.throwsAsync(ByteSource.open(path, { signal: AbortSignal.abort(reason) }), { is: reason });
  const controller = new AbortController();
  const source = await ByteSource.open(path, { signal: controller.signal, blockBytes: 100 });
  t.is((await source.next())?.length, 100);
  controller.abort(reason);
  await t.throwsAsync(source.next(), { is: reason });
  await source.close();
});

test.serial("does not hold what it has not been asked for", async (t) => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const held = (): number => {
    collectGarbage();
    return process.memoryUsage().arrayBuffers;
  };
  const member = gzipSync(Buffer.alloc(10 << 20));
  const path = await write(Buffer.concat(Array.from({ length: 20 }, () => member)));
  const source = await ByteSource.open(path);
  const before = held();
  let most = 0;
  let blocks = 0;
  let bytes = 0;
  for (let block = await source.next(); block !== undefined; block = await source.next()) {
    bytes += block.length;
    if (++blocks % 40 === 0) most = Math.max(most, held() - before);
  }
  await source.close();
  t.is(bytes, 200 << 20);
  t.log(`${most >> 20} MiB at most`);
  t.true(most < 80 << 20);
});

test.serial("lets the event loop turn between blocks", async (t) => {
  const content = Buffer.alloc(20 << 20, "1,2,3\n");
  for (const bytes of [content, gzipSync(content)]) {
    const source = await ByteSource.open(await write(bytes));
    let turns = 0;
    let counting = true;
    const count = (): void => {
      turns++;
      if (counting) setImmediate(count);
    };
    setImmediate(count);
    let blocks = 0;
    while ((await source.next()) !== undefined) blocks++;
    counting = false;
    await source.close();
    t.true(blocks >= 80 && turns >= blocks / 2, `${turns} turns for ${blocks} blocks`);
  }
});
