/** Files that grow while disks fail. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import fc from "fast-check";
import { AppendFile } from "../../../src/train/run/append-file.js";
import { temporary } from "./temporary.js";

test("what is appended is there in order, whenever it was flushed", async (t) => {
  const folder = await temporary(t);
  let number = 0;
  const steps = fc.array(fc.oneof(fc.string({ unit: "binary" }), fc.constant(undefined)));
  await fc.assert(
    fc.asyncProperty(steps, async (parts) => {
      const path = join(folder, String(number++));
      const file = new AppendFile(path);
      const flushes: Promise<void>[] = [];
      for (const part of parts) {
        if (part === undefined) flushes.push(file.flush());
        else file.append(part);
      }
      await Promise.all(flushes);
      file.append("end");
      await file.close();
      t.is(await readFile(path, "utf8"), `${Buffer.from(parts.join("")).toString()}end`);
    }),
    { numRuns: 50 },
  );
});

test("bytes are written without a flush after a while, and at once when they are many", async (t) => {
  const path = join(await temporary(t), "log");
  const file = new AppendFile(path);
  file.append("x".repeat(70_000));
  await until(async () => (await readFile(path, "utf8").catch(() => "")).length === 70_000, 700);
  file.append("y");
  await until(async () => (await readFile(path, "utf8")).endsWith("xy"), 5000);
  await file.close();
  t.pass();
});

test("a disk that fails rejects the flush; once it works nothing is lost or doubled", async (t) => {
  const folder = join(await temporary(t), "later");
  const file = new AppendFile(join(folder, "log"));
  file.append("one\n");
  await t.throwsAsync(file.flush(), { name: "DataError", message: /log: cannot write: no such/ });
  file.append("two\n");
  await t.throwsAsync(file.flush());
  await mkdir(folder);
  await file.flush();
  file.append("three\n");
  await file.close();
  t.is(await readFile(join(folder, "log"), "utf8"), "one\ntwo\nthree\n");
});

test("a full disk that nobody flushes to ends nothing", async (t) => {
  if (process.platform !== "linux") {
    t.pass("needs /dev/full");
    return;
  }
  const file = new AppendFile("/dev/full");
  file.append("x".repeat(100_000));
  await sleep(50);
  file.append("y");
  await t.throwsAsync(file.flush(), { message: /full: cannot write: no space is left/ });
  await t.throwsAsync(file.close(), { message: /no space is left/ });
});

test("what follows the end that is given is overwritten", async (t) => {
  const path = join(await temporary(t), "log");
  await writeFile(path, "whole\nto");
  const file = new AppendFile(path, 6);
  file.append("next\n");
  await file.close();
  t.is(await readFile(path, "utf8"), "whole\nnext\n");
});

async function until(holds: () => Promise<boolean>, limitMs: number): Promise<void> {
  const from = Date.now();
  while (!(await holds())) {
    if (Date.now() - from > limitMs * 4) throw new Error("waited too long");
    await sleep(20);
  }
}
