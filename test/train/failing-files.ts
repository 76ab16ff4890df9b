/**
 * A disk that fails: counts everything that code does to files through `node:fs/promises`, and at one of these points
 * makes it fail, or stop for good as a killed process stops.
 *
 * For tests that run one after the other: the whole process has one file system.
 */
import fs, { type FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";

/**
 * - `error`: the call fails, nothing is done; later ones work
 * - `late`: the call is done, and then fails all the same
 * - `half`: like `error`, but half of what was to be written is
 * - `dead`: neither this call nor any later one is done: the disk is as a killed process leaves it
 * - `kill`: the process ends, by SIGKILL
 */
export type Failure = "error" | "late" | "half" | "dead" | "kill";

/** At which call: its number, from 1, or the first that a pattern fits: `rename /runs/checkpoints/step-4.tmp`. */
export type Point = number | RegExp;

let failing: { at: Point; how: Failure } | undefined;
let failed = false;
let dead = false;
const made: string[] = [];

type Call = (this: unknown, ...given: unknown[]) => Promise<unknown>;

/** Calls that change nothing are not counted; once dead, they fail, too. */
const changing = ["mkdir", "rename", "rm", "write", "writeFile", "appendFile", "sync", "truncate"];
const others = ["open", "readdir", "readFile", "read", "stat"];

function wrap(target: object, name: string): void {
  const all = target as Record<string, Call>;
  const original = all[name]!;
  all[name] = async function (...given) {
    // Reading opens a file as well.
    const counts = changing.includes(name) || (name === "open" && given[1] !== "r");
    if (failing === undefined) return await original.apply(this, given);
    // Nothing here depends on the disk having it.
    const run = () => (name === "sync" ? Promise.resolve() : original.apply(this, given));
    if (!counts) return dead ? await Promise.reject(failure("EIO")) : await run();
    const call = name in fs && name !== "writeFile" ? `${name} ${String(given[0])}` : name;
    made.push(call);
    const { at, how } = failing;
    if (dead || !(typeof at === "number" ? made.length === at : !failed && at.test(call)))
      return dead ? await Promise.reject(failure("EIO")) : await run();
    failed = true;
    dead = how === "dead";
    if (how === "kill") process.kill(process.pid, "SIGKILL");
    if (how === "late") {
      const done = await run();
      if (name === "open") await (done as FileHandle).close();
    }
    if (how === "half" && given[0] instanceof Uint8Array)
      await original.call(this, given[0].subarray(0, given[0].length >> 1));
    throw failure("ENOSPC");
  };
}

function failure(code: string): Error {
  const message = `${code}: no space left on device, write`;
  return Object.assign(new Error(message), { code, syscall: "write" });
}

const handle: FileHandle = await fs.open(tmpdir(), "r");
const prototype = Object.getPrototypeOf(handle) as object;
await handle.close();
for (const name of [...changing, ...others]) {
  if (name in fs) wrap(fs, name);
  if (name in prototype) wrap(prototype, name);
}
syncBuiltinESMExports();

/** From now on, a call fails; with `Infinity`, they are only counted. */
export function arm(how: Failure, at: Point): void {
  failing = { at, how };
  failed = false;
  dead = false;
  made.length = 0;
}

/** Ends it. @returns the calls that were counted */
export function disarm(): string[] {
  failing = undefined;
  return [...made];
}
