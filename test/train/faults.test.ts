/** Disks that fail at every single step of saving, and processes that stop there: what is resumed is as if nothing was. */
import { chmod, mkdir, mkdtemp, readdir, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { CheckpointError } from "../../src/errors.js";
import { seed } from "../../src/ops/index.js";
import { fit } from "../../src/train/index.js";
import { mayMount, mountSmallDisk } from "../data/write/small-disk.js";
import { arm, disarm, type Failure } from "./failing-files.js";
import { Tiny } from "./tiny.js";

const root = await realpath(await mkdtemp(join(tmpdir(), "user-llm-faults-")));
test.after.always(() => rm(root, { recursive: true }));
const canMount = mayMount(root);
let folders = 0;
const fresh = (): string => join(root, `${folders++}`, "checkpoints");

/** A run of four steps that saves after two and at the end, each better than the one before, of which the last is kept. */
async function run(folder: string): Promise<string> {
  seed(1);
  using tiny = new Tiny({ optimizer: "sgd" });
  let validations = 0;
  const validation = { every: 2, run: async () => ({ up: validations++ }), monitor: "up" };
  const checkpoints = { ...tiny.checkpoints(folder), every: 2, keep: 1 };
  const options = { ...tiny.options(), steps: 4, validation, checkpoints };
  const { reason } = await fit({
    ...options,
    resume: "auto",
    onResume: ({ step }) => {
      validations = step / 2;
    },
  });
  if (reason !== "finished") throw new Error(reason);
  return await tiny.digest();
}

/** Whether a call is worth a run of its own: of the many writes of a file, the first and the last are. */
const telling = (call: string, i: number, calls: readonly string[]): boolean =>
  call !== "write" || calls[i - 1] !== "write" || calls[i + 1] !== "write";

/** What each way of failing applies to; all of it to the calls that are left out would be the same again. */
const kinds: Readonly<Record<Exclude<Failure, "kill">, RegExp>> = {
  error: /./,
  dead: /./,
  half: /^write/,
  late: /^rename/,
};

for (const [how, pattern] of Object.entries(kinds) as [Failure, RegExp][])
  test.serial(`every call that changes files, once: ${how}`, async (t) => {
    arm("error", Infinity);
    const expected = await run(fresh());
    const calls = disarm();
    t.true(calls.length > 40);
    for (const [i, call] of calls.entries()) {
      if (!telling(call, i, calls) || !pattern.test(call)) continue;
      const folder = fresh();
      const point = `call ${i + 1} of ${calls.length}: ${call}`;
      arm(how, i + 1);
      const outcome = await run(folder).catch((error: unknown) => error);
      disarm();
      if (outcome !== expected) t.true(outcome instanceof CheckpointError, `${point}: ${outcome}`);
      arm("error", Infinity); // without waiting for the disk
      t.is(await run(folder), expected, point);
      disarm();
      t.deepEqual((await readdir(folder)).sort(), ["best", "latest", "step-4"], point);
    }
  });

test.serial(
  "a disk that is full ends training; with more room it goes on from the last checkpoint",
  async (t) => {
    if (!canMount) return void t.log("not root: full disks are not tested");
    const expected = await run(fresh());
    const disk = join(root, "disk");
    await mkdir(disk);
    t.teardown(mountSmallDisk(disk, 256 << 10));
    const folder = join(disk, "checkpoints");
    await writeFile(join(disk, "filler"), new Uint8Array((256 - 36) << 10));
    await t.throwsAsync(run(folder), {
      instanceOf: CheckpointError,
      message: `${join(folder, "step-4")}: cannot save the checkpoint: no space is left on the disk`,
    });
    t.deepEqual((await readdir(folder)).sort(), ["best", "latest", "step-2"]);
    await t.throwsAsync(run(folder), { instanceOf: CheckpointError });
    await rm(join(disk, "filler"));
    t.is(await run(folder), expected);
  },
);

test.serial("a folder that cannot be written is named", async (t) => {
  const file = join(root, "file");
  await writeFile(file, "");
  await t.throwsAsync(run(join(file, "checkpoints")), {
    instanceOf: CheckpointError,
    message: /file\/checkpoints: cannot read: it, or a folder above it, is a file$/,
  });
  if (process.getuid?.() === 0) return void t.log("root: may write everywhere");
  const folder = fresh();
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o555);
  await t.throwsAsync(run(folder), {
    instanceOf: CheckpointError,
    message: /step-2: cannot save the checkpoint: permission denied$/,
  });
});
