import { execFile } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import test from "ava";
import { mapFile, unmapFile } from "../../../src/data/prepared/map-file.js";
import { DataError } from "../../../src/errors.js";
import { program, worker } from "../../environment/program.js";

const folder = mkdtempSync(join(tmpdir(), "user-llm-map-"));
test.after.always(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const text = (buffer: ArrayBuffer): string => Buffer.from(buffer).toString();
const importMapFile = `const { mapFile } = await import(${JSON.stringify(
  new URL("../../../src/data/prepared/map-file.ts", import.meta.url).href,
)});`;
const mapInWorker = (path: string, body: string): string =>
  worker(`
    ${importMapFile}
    const mapped = mapFile(${JSON.stringify(path)});
    ${body}`);

test("the bytes are those of the file", (t) => {
  const numbers = Int32Array.from({ length: 100_000 }, (_, i) => i * 7919);
  const path = file("numbers", new Uint8Array(numbers.buffer));
  t.deepEqual(new Int32Array(mapFile(path)), numbers);
});

test("an empty file is an empty buffer", (t) => {
  t.is(mapFile(file("empty", "")).byteLength, 0);
});

test("writing changes neither the file nor another mapping", (t) => {
  const path = file("written", "before");
  const [mine, other] = [mapFile(path), mapFile(path)];
  new Uint8Array(mine).fill(120);
  t.deepEqual([text(mine), text(other)], ["xxxxxx", "before"]);
  t.is(readFileSync(path, "utf8"), "before");
});

test("a file replaced by rename keeps its old content", (t) => {
  const path = file("replaced", "old content");
  const mapped = mapFile(path);
  renameSync(file("replaced.new", "new"), path);
  t.is(text(mapped), "old content");
  t.is(text(mapFile(path)), "new");
});

test("an unmapped buffer is empty, and so are its views", (t) => {
  const mapped = mapFile(file("unmapped", "12345678"));
  const view = new Int32Array(mapped, 4);
  unmapFile(mapped);
  unmapFile(mapped);
  t.deepEqual([mapped.byteLength, view.length], [0, 0]);
});

test("what cannot be mapped is named", async (t) => {
  const missing = join(folder, "nowhere");
  t.throws(() => mapFile(missing), {
    instanceOf: DataError,
    message: `${missing}: No such file or directory`,
  });
  t.throws(() => mapFile(folder), { instanceOf: DataError, message: `${folder}: Is a directory` });
  t.throws(() => mapFile("/dev/null"), { message: "/dev/null: Not a regular file" });
  t.throws(() => mapFile(`${file("cut", "x")}\0rest`), { message: /No such file/ });
  if (process.platform === "win32") return;
  const pipe = join(folder, "pipe");
  await promisify(execFile)("mkfifo", [pipe]);
  t.throws(() => mapFile(pipe), { message: `${pipe}: Not a regular file` });
});

test("a file that may not be read is refused", async (t) => {
  const path = file("secret", "x");
  chmodSync(path, 0);
  const { stdout } = await program(`
    ${importMapFile}
    if (process.getuid() === 0) process.seteuid(65_534);
    try {
      mapFile(${JSON.stringify(path)});
    } catch (error) {
      console.log(error.message);
    }
  `);
  t.is(stdout, `${path}: Permission denied\n`);
});

test("mappings are let go with the garbage", async (t) => {
  const path = file("dropped", new Uint8Array(1 << 20));
  const { code, stdout, stderr } = await program(
    `
    const { readFileSync } = await import("node:fs");
    ${importMapFile}
    const mappings = () => readFileSync("/proc/self/maps", "utf8").split(${JSON.stringify(path)}).length - 1;
    for (let i = 0; i < 50; i++) mapFile(${JSON.stringify(path)});
    const most = mappings();
    for (let i = 0; i < 20 && mappings() > 0; i++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    console.log(most > 0, mappings());
  `,
    { nodeArguments: ["--expose-gc"] },
  );
  t.is(code, 0, stderr);
  if (process.platform === "linux") t.is(stdout, "true 0\n");
});

test("workers map the same file, and end with it mapped", async (t) => {
  const path = file("shared", "shared bytes");
  const { code, signal, stdout, stderr } = await program(`
    ${importMapFile}
    const mine = mapFile(${JSON.stringify(path)});
    for (let i = 0; i < 2; i++) {
      const w = ${mapInWorker(
        path,
        `parentPort.postMessage(Buffer.from(mapped).toString()); setInterval(() => {}, 1000);`,
      )};
      console.log(await new Promise((resolve) => w.once("message", resolve)));
      await w.terminate();
    }
    console.log(Buffer.from(mine).toString());
  `);
  t.is(signal, null);
  t.is(code, 0, stderr);
  t.is(stdout, "shared bytes\n".repeat(3));
});
