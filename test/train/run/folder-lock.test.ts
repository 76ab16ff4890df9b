/** One process at a time in a folder, and none that is gone. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { FolderLock, holderOf } from "../../../src/train/run/folder-lock.js";
import { temporary } from "./temporary.js";

const script = fileURLToPath(new URL("hold-lock.ts", import.meta.url));

async function holdIn(
  t: ExecutionContext,
  folder: string,
): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, ["--import=tsx", script, folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  const [said] = (await once(child.stdout!, "data")) as [Buffer];
  return { child, said: said.toString().trim() };
}

test("a folder is held once, until it is let go", async (t) => {
  const folder = await temporary(t);
  t.is(await holderOf(folder), undefined);
  const lock = await FolderLock.take(folder);
  t.regex((await holderOf(folder)) ?? "", new RegExp(`^process ${process.pid} on .`));
  t.is(await FolderLock.take(folder), undefined);
  await lock?.release();
  t.deepEqual(await readdir(folder), []);
  await (await FolderLock.take(folder))?.release();
});

test("a process that is killed holds nothing; one that lives does", async (t) => {
  const folder = await temporary(t);
  const { child, said } = await holdIn(t, folder);
  t.is(said, "taken");
  t.is(await FolderLock.take(folder), undefined);
  t.is(
    await holderOf(folder),
    `process ${child.pid} on ${JSON.parse(await readFile(join(folder, ".lock"), "utf8")).host}`,
  );
  child.kill("SIGKILL");
  await once(child, "close");
  t.is(await holderOf(folder), undefined);
  const lock = await FolderLock.take(folder);
  t.not(lock, undefined);
  await lock?.release();
  t.deepEqual(await readdir(folder), []);
});

test("of many that want a folder whose holder is gone, one gets it", async (t) => {
  for (let round = 0; round < 20; round++) {
    const folder = await temporary(t);
    await forge(folder, { pid: 4_000_000 });
    const locks = await Promise.all(Array.from({ length: 8 }, () => FolderLock.take(folder)));
    const taken = locks.filter((lock) => lock !== undefined);
    t.is(taken.length, 1);
    await taken[0]!.release();
    t.deepEqual(await readdir(folder), []);
  }
});

test("a number that another process has by now does not count", async (t) => {
  const folder = await temporary(t);
  await forge(folder, { began: "1" });
  t.is(await holderOf(folder), undefined);
  await (await FolderLock.take(folder))!.release();
});

test("another machine's lock counts while it is touched", async (t) => {
  const folder = await temporary(t);
  await forge(folder, { host: "far-away", space: "0123456789abcdef", pid: 7 });
  t.is(await holderOf(folder), "process 7 on far-away");
  t.is(await FolderLock.take(folder), undefined);
  const past = new Date(Date.now() - 200_000);
  await utimes(join(folder, ".lock"), past, past);
  t.is(await holderOf(folder), undefined);
  await (await FolderLock.take(folder))!.release();
});

test("a lock that nobody can read counts while it is new", async (t) => {
  const folder = await temporary(t);
  const path = join(folder, ".lock");
  await writeFile(path, "");
  t.is(await holderOf(folder), "another process");
  const past = new Date(Date.now() - 200_000);
  await utimes(path, past, past);
  await (await FolderLock.take(folder))!.release();
});

test("who is late does not let go of another's lock", async (t) => {
  const folder = await temporary(t);
  const lock = await FolderLock.take(folder);
  await forge(folder, { host: "far-away", space: "0123456789abcdef", pid: 7 });
  await lock?.release();
  t.is(await holderOf(folder), "process 7 on far-away");
});

/** Puts the lock of this process there, changed. */
async function forge(folder: string, change: object): Promise<void> {
  const lock = await FolderLock.take(folder);
  const path = join(folder, ".lock");
  const holder = JSON.parse(await readFile(path, "utf8")) as object;
  await lock?.release();
  await writeFile(path, JSON.stringify({ ...holder, ...change }));
}
