import { fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { processMark } from "../../../src/data/write/leftovers.js";
import { partialFolder } from "../../../src/data/write/partial-folder.js";
import { DataError } from "../../../src/errors.js";
import { writeGeneration } from "./committer.js";
import { mayMount, mountSmallDisk } from "./small-disk.js";

const root = await realpath(await mkdtemp(join(tmpdir(), "user-llm-partial-")));
test.after.always(() => rm(root, { recursive: true }));
const canMount = mayMount(root);
let places = 0;
/** An empty folder of its own for a test; what the test makes goes into it. */
async function place(): Promise<string> {
  const path = join(root, `${places++}`);
  await mkdir(path);
  return path;
}

/** A process that is no more. */
const dead = spawnSync(process.execPath, ["-e", ""]).pid;
const deadMark = `${processMark().split("-")[0]}-${dead}-00000000`;

test("a folder appears when it is committed, and nothing beside it stays", async (t) => {
  const parent = await place();
  const out = join(parent, "deep", "er", "out");
  const partial = await partialFolder(out);
  await writeGeneration(partial.data, 1);
  await writeFile(join(partial.scratch, "spool"), "temporary");
  await t.throwsAsync(stat(out), { code: "ENOENT" });
  await partial.commit();
  await partial.abandon();
  t.is(await generationAt(t, out), 1);
  t.deepEqual(await readdir(join(parent, "deep", "er")), ["out"]);
});

test("an abandoned folder leaves nothing, not even the folders above", async (t) => {
  const parent = await place();
  const partial = await partialFolder(join(parent, "deep", "er", "out"));
  await writeGeneration(partial.data, 1);
  await partial.abandon();
  t.deepEqual(await readdir(parent), []);
});

test("an empty folder, or a link to one, is a place", async (t) => {
  const parent = await place();
  const out = join(parent, "out");
  const link = join(parent, "link");
  await mkdir(out);
  await symlink(out, link);
  const partial = await partialFolder(link);
  await writeGeneration(partial.data, 1);
  await partial.commit();
  t.is(await generationAt(t, out), 1);
  t.deepEqual((await readdir(parent)).sort(), ["link", "out"]);
});

test("only a prepared folder is replaced, and only if asked", async (t) => {
  const parent = await place();
  const out = join(parent, "out");
  const refused = (message: RegExp, overwrite: boolean) =>
    t.throwsAsync(partialFolder(out, { overwrite }), { instanceOf: DataError, message });

  await writeFile(out, "a file");
  await refused(/out: cannot make the folder: it, or a folder above it, is a file$/, true);
  await rm(out);
  await mkdir(out);
  await writeFile(join(out, "thesis.tex"), "years of work");
  await refused(/out is not empty and holds no prepared data; nothing was written$/, true);
  await writeGeneration(out, 1);
  await refused(/out also holds thesis\.tex, which would be lost; nothing was written$/, true);
  await rm(join(out, "thesis.tex"));
  await refused(/out holds prepared data already; overwrite it or name another folder$/, false);
  await rm(join(out, "users.arrow"));
  await refused(/holds no prepared data/, true);
  await writeGeneration(out, 1);

  const partial = await partialFolder(out, { overwrite: true });
  await writeGeneration(partial.data, 2);
  t.is(await generationAt(t, out), 1);
  await partial.commit();
  t.is(await generationAt(t, out), 2);
  t.deepEqual(await readdir(parent), ["out"]);
});

test("what came into the place meanwhile stays", async (t) => {
  const parent = await place();
  const out = join(parent, "out");
  const partial = await partialFolder(out);
  await writeGeneration(partial.data, 2);
  await mkdir(out);
  await writeGeneration(out, 1);
  await t.throwsAsync(partial.commit(), { instanceOf: DataError, message: /already/ });
  await partial.abandon();
  t.is(await generationAt(t, out), 1);
  t.deepEqual(await readdir(parent), ["out"]);
});

(canMount ? test : test.skip)(
  "the old folder comes back when the new one cannot be put in its place",
  async (t) => {
    const parent = await place();
    const out = join(parent, "out");
    await mkdir(out);
    await writeGeneration(out, 1);
    const partial = await partialFolder(out, { overwrite: true });
    // What something is mounted on cannot be renamed.
    const unmount = mountSmallDisk(partial.data, 1 << 20);
    try {
      await writeGeneration(partial.data, 2);
      await t.throwsAsync(partial.commit(), { instanceOf: DataError, message: /cannot put/ });
      t.is(await generationAt(t, out), 1);
    } finally {
      unmount();
    }
    await partial.abandon();
    t.deepEqual(await readdir(parent), ["out"]);
  },
);

(canMount ? test : test.skip)("a mount point is no place", async (t) => {
  const out = await place();
  const unmount = mountSmallDisk(out, 1 << 20);
  try {
    await t.throwsAsync(partialFolder(out), {
      instanceOf: DataError,
      message: /is a mount point, which cannot be replaced; name a folder in it$/,
    });
  } finally {
    unmount();
  }
});

test("leftovers of dead processes go, others stay", async (t) => {
  const parent = await place();
  const out = join(parent, "out");
  const stale = [`.out.partial-${deadMark}`, `.out.replaced-${deadMark}`];
  const kept = [
    `.out.partial-${processMark()}-00000000`,
    `.out.partial-00000000-${dead}-00000000`, // of another machine
    `.other.partial-${deadMark}`,
    ".out.partial-of-mine",
  ];
  for (const name of [...stale, ...kept]) {
    await mkdir(join(parent, name, "data"), { recursive: true });
    await writeFile(join(parent, name, "data", "events.arrow"), "half");
  }
  await (await partialFolder(out)).abandon();
  t.deepEqual((await readdir(parent)).sort(), kept.sort());
});

test("a folder that was moved aside by a process that died comes back", async (t) => {
  const parent = await place();
  const out = join(parent, "out");
  const aside = join(parent, `.out.replaced-${deadMark}`);
  await mkdir(aside);
  await writeGeneration(aside, 1);
  // Half of it was removed after its successor had come, and that one is gone by now: this one is of no use.
  const half = join(parent, `.out.replaced-${deadMark.slice(0, -1)}1`);
  await mkdir(half);
  await writeGeneration(half, 0);
  await rm(join(half, "users.arrow"));

  await t.throwsAsync(partialFolder(out), { message: /holds prepared data already/ });
  t.is(await generationAt(t, out), 1);
  t.deepEqual(await readdir(parent), ["out"]);
});

test("a process killed at any moment leaves a whole folder, now or to the next run", async (t) => {
  const parent = await place();
  const out = join(parent, "out");
  const program = fileURLToPath(new URL("committer.ts", import.meta.url));
  for (let round = 0; round < 6; round++) {
    const child = fork(program, [out], { execArgv: ["--import=tsx"] });
    await once(child, "message");
    await setTimeout(Math.random() * 40);
    child.kill("SIGKILL");
    await once(child, "exit");
    // What is there is whole, whatever else lies beside it.
    const there = (await readdir(parent)).includes("out");
    if (there) t.true((await generationAt(t, out)) >= 1);
    const partial = await partialFolder(out, { overwrite: true });
    t.true((await generationAt(t, out)) >= 1);
    await partial.abandon();
    t.deepEqual(await readdir(parent), ["out"]);
  }
});

test.serial("a folder that may not be written is a DataError", async (t) => {
  const parent = await place();
  await chmod(parent, 0o555);
  await chmod(root, 0o755);
  const error = await asNobody(() => t.throwsAsync(partialFolder(join(parent, "out"))));
  t.true(error instanceof DataError);
  t.regex(error!.message, /out: cannot make the folder: permission denied$/);
  t.deepEqual(await readdir(parent), []);
});

test("a place below a file is a DataError", async (t) => {
  const parent = await place();
  await writeFile(join(parent, "file"), "");
  await t.throwsAsync(partialFolder(join(parent, "file", "out")), {
    instanceOf: DataError,
    message: /out: cannot make the folder: /,
  });
});

/** Root may write everywhere, so tests of permissions lay it down for a while. */
async function asNobody<T>(body: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return await body();
  process.seteuid!(65_534);
  try {
    return await body();
  } finally {
    process.seteuid!(0);
  }
}

/** The generation of a folder, after checking that it is of one piece. */
async function generationAt(t: ExecutionContext, folder: string): Promise<number> {
  t.deepEqual((await readdir(folder)).sort(), ["events.arrow", "manifest.json", "users.arrow"]);
  const { generation } = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"));
  for (const name of ["events.arrow", "users.arrow"]) {
    t.is(await readFile(join(folder, name), "utf8"), `${generation}`);
  }
  return generation;
}
