import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { type UnzipOptions, unzip } from "../../../src/data/download/unzip.js";
import { DataError } from "../../../src/errors.js";
import type { Progress } from "../../../src/progress.js";
import { patched, renamed, zipOf } from "./zips.js";

/** Unpacks into a folder within a folder, so that what leaves it is seen. */
async function unpack(t: ExecutionContext, zip: Buffer, options: UnzipOptions = {}) {
  const root = await mkdtemp(join(tmpdir(), "user-llm-unzip-"));
  t.teardown(() => rm(root, { recursive: true }));
  const folder = join(root, "deep", "folder");
  await mkdir(folder, { recursive: true });
  const path = join(root, "data.zip.part");
  await writeFile(path, zip);
  const result = await unzip(path, folder, options).then(
    (files) => ({ files }),
    (error: Error) => ({ error }),
  );
  const all = (await readdir(root, { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((name) => name !== "data.zip.part")
    .sort();
  return { ...result, folder, all };
}

test("files are unpacked without the folder they share", async (t) => {
  const large = "rating\n".repeat(50_000);
  const zip = await zipOf({
    "ml/ratings.csv": large,
    "ml/sub/README.txt": "read me",
    "ml/empty": "",
  });
  const progress: Progress[] = [];
  const { files, folder, all } = (await unpack(t, zip, {
    onProgress: (one) => progress.push(one),
  })) as { files: unknown; folder: string; all: string[] };
  t.deepEqual(files, [
    { name: "ratings.csv", bytes: 350_000 },
    { name: "sub/README.txt", bytes: 7 },
    { name: "empty", bytes: 0 },
  ]);
  t.is(await readFile(join(folder, "ratings.csv"), "utf8"), large);
  t.deepEqual(all, ["deep/folder/empty", "deep/folder/ratings.csv", "deep/folder/sub/README.txt"]);
  t.deepEqual(progress.at(-1), {
    task: "unpacking data.zip",
    done: 350_007,
    total: 350_007,
    unit: "bytes",
  });
});

test("files without a folder in common keep theirs", async (t) => {
  const { all } = await unpack(t, await zipOf({ "a/x": "1", "b/x": "2", y: "3" }));
  t.deepEqual(all, ["deep/folder/a/x", "deep/folder/b/x", "deep/folder/y"]);
});

const plain = () => zipOf({ "folder/name.txt": "content" });
const unixLink = 0o120_777;

for (const [what, make, message, options] of [
  [
    "a name that climbs",
    async () => renamed(await plain(), "folder/name.txt", "../../../me.txt"),
    /invalid relative path/,
  ],
  [
    "a name that climbs later",
    async () => renamed(await plain(), "folder/name.txt", "fol/../../e.txt"),
    /invalid relative path/,
  ],
  [
    "an absolute name",
    async () => renamed(await plain(), "folder/name.txt", "/tmp/ame-it.txt"),
    /absolute path/,
  ],
  [
    "a drive",
    async () => renamed(await plain(), "folder/name.txt", "C:/der/name.txt"),
    /absolute path/,
  ],
  [
    "backslashes",
    async () => renamed(await plain(), "folder/name.txt", "..\\..\\names.txt"),
    /invalid characters/,
  ],
  [
    "a folder of dots",
    async () => renamed(await plain(), "folder/name.txt", "f/./r/nname.tx" + "t"),
    /leads through a folder without a name/,
  ],
  [
    "a folder without a name",
    async () => renamed(await plain(), "folder/name.txt", "fol//r/name.txt"),
    /leads through a folder without a name/,
  ],
  [
    "a control character",
    async () => renamed(await plain(), "folder/name.txt", "folder/na\x00e.txt"),
    /is a name that not every system takes/,
  ],
  [
    "a stream of another file",
    async () => renamed(await plain(), "folder/name.txt", "folder/name:txt"),
    /is a name that not every system takes/,
  ],
  [
    "a symbolic link",
    () => zipOf({ link: "/etc/passwd" }, unixLink),
    /"link" is a link or a device/,
  ],
  ["a device", () => zipOf({ tty: "" }, 0o020_666), /is a link or a device/],
  [
    "a name twice",
    async () => renamed(await zipOf({ "a.txt": "1", "b.txt": "2" }), "b.txt", "a.txt"),
    /holds "a.txt" twice/,
  ],
  [
    "a name twice but for its case",
    () => zipOf({ "a.txt": "1", "A.TXT": "2" }),
    /holds "A.TXT" twice/,
  ],
  ["a file that is a folder too", () => zipOf({ "x/a": "1", X: "2" }), /holds "x\/a" twice/],
  [
    "encryption",
    async () =>
      patched(await plain(), (entry) => entry.writeUInt16LE(entry.readUInt16LE(8) | 1, 8)),
    /is encrypted/,
  ],
  [
    "a strange compression",
    async () => patched(await plain(), (entry) => entry.writeUInt16LE(99, 10)),
    /compressed by method 99/,
  ],
  [
    "too many files",
    () => zipOf({ a: "", b: "", c: "" }),
    /holds 3 files, more than the 2/,
    { limits: { mostFiles: 2 } },
  ],
  [
    "too many bytes",
    () => zipOf({ a: "x".repeat(600), b: "y".repeat(600) }),
    /unpacks to 1200 bytes, more than the 1000/,
    { limits: { mostBytes: 1000 } },
  ],
  [
    "a bomb",
    () => zipOf({ a: Buffer.alloc(3_000_000) }),
    /to 3000000, more than 200 times as many/,
  ],
] as [string, () => Promise<Buffer>, RegExp, UnzipOptions?][]) {
  test(`a zip with ${what} is refused whole`, async (t) => {
    const { error, all } = (await unpack(t, await make(), options)) as {
      error?: Error;
      all: string[];
    };
    t.true(error instanceof DataError, String(error));
    t.regex(error!.message, message);
    t.regex(error!.message, /^data\.zip: /);
    t.deepEqual(all, []);
  });
}

test("a size that the directory makes smaller does not get past the limits", async (t) => {
  const bomb = await zipOf({ a: Buffer.alloc(3_000_000) });
  const zip = patched(bomb, (entry) => entry.writeUInt32LE(100, 24));
  const { error, folder } = (await unpack(t, zip)) as { error?: Error; folder: string };
  t.true(error instanceof DataError);
  t.regex(error!.message, /too many bytes/);
  t.true((await readFile(join(folder, "a"))).length <= 100);
});

test("damaged content is an error", async (t) => {
  const zip = patched(await plain(), (entry) => entry.writeUInt32LE(1, 16));
  const { error } = (await unpack(t, zip)) as { error?: Error };
  t.regex(error!.message, /^data\.zip: the 7 bytes of folder\/name\.txt are damaged$/);
});

test("an archive that is cut off anywhere is an error", async (t) => {
  const zip = await zipOf({ "a.txt": "some text ".repeat(20), "b.txt": "more" });
  for (let length = 0; length < zip.length; length += 11) {
    const { error } = (await unpack(t, zip.subarray(0, length))) as { error?: Error };
    t.true(error instanceof DataError, `${length} bytes: ${error}`);
  }
});

test("aborting ends the unpacking", async (t) => {
  const stop = new AbortController();
  stop.abort(new Error("enough"));
  const { error } = (await unpack(t, await plain(), { signal: stop.signal })) as { error?: Error };
  t.is(error!.message, "enough");
});
