import { createHash, randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { link, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { isSystemError } from "../../data/files/file-fault.js";
import { isObject } from "./json.js";

export const lockName = ".lock";

/** How often a holder touches its lock, and after how long without that it is gone: for other machines to see. */
const heartbeatMs = 15_000;
const abandonedMs = 180_000;

/** Who holds a lock. */
interface Holder {
  readonly host: string;
  /** Of the process-number space: a machine or a container, since it was started. */
  readonly space: string;
  readonly pid: number;
  /** When the process began, in the system's ticks: process numbers come back. */
  readonly began: string;
}

/**
 * One process at a time in a folder. A lock is a file that says who holds it; that of a process which is no more counts for
 * nothing, so that nobody has to remove it by hand.
 */
export class FolderLock {
  readonly #text: string;
  #path: string;
  #timer: NodeJS.Timeout | undefined;

  private constructor(path: string, text: string) {
    this.#path = path;
    this.#text = text;
  }

  /** Takes the lock; undefined if somebody holds it. */
  static async take(folder: string): Promise<FolderLock | undefined> {
    const path = join(folder, lockName);
    const lock = new FolderLock(path, `${JSON.stringify({ ...thisProcess, id: randomMark() })}\n`);
    const isFree = await lock.#claim();
    if (!isFree && !((await removeAbandoned(path)) && (await lock.#claim()))) return undefined;
    lock.#timer = setInterval(() => void lock.#beat(), heartbeatMs).unref();
    return lock;
  }

  /** The folder has been renamed. */
  movedTo(folder: string): void {
    this.#path = join(folder, lockName);
  }

  /** Gives the lock back, unless somebody else has it by now. */
  async release(): Promise<void> {
    clearInterval(this.#timer);
    if (await this.#isOurs()) await rm(this.#path, { force: true });
  }

  async #isOurs(): Promise<boolean> {
    return (await readFile(this.#path, "utf8").catch(() => undefined)) === this.#text;
  }

  /** Puts the file there, unless one is. */
  async #claim(): Promise<boolean> {
    const draft = `${this.#path}.${randomMark()}.tmp`;
    try {
      await writeFile(draft, this.#text, { flag: "wx" });
      // A link appears with its contents, or not at all.
      await link(draft, this.#path).catch((error) => {
        if (isSystemError(error, "EEXIST")) throw error;
        // Some file systems have no links.
        return writeFile(this.#path, this.#text, { flag: "wx" });
      });
      return true;
    } catch (error) {
      if (isSystemError(error, "EEXIST")) return false;
      throw error;
    } finally {
      await rm(draft, { force: true });
    }
  }

  /** Writing sets the time of the file by the clock of its disk, which machines share. */
  async #beat(): Promise<void> {
    if (await this.#isOurs())
      await writeFile(this.#path, this.#text, { flag: "r+" }).catch(() => {});
  }
}

/** Who holds the folder, in words; undefined if nobody does. */
export async function holderOf(folder: string): Promise<string | undefined> {
  const path = join(folder, lockName);
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined || (await isAbandoned(path, text))) return undefined;
  const holder = parseHolder(text);
  return holder === undefined ? "another process" : `process ${holder.pid} on ${holder.host}`;
}

/** Removes a lock that nobody holds any more. Of several that try, each sees whether it removed the right one. */
async function removeAbandoned(path: string): Promise<boolean> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return true;
  if (!(await isAbandoned(path, text))) return false;
  const aside = `${path}.${randomMark()}.tmp`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (isSystemError(error, "ENOENT")) return true;
    throw error;
  }
  const same = (await readFile(aside, "utf8")) === text;
  // Somebody was quicker, and this is the new lock: it goes back.
  if (!same) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
  return same;
}

async function isAbandoned(path: string, text: string): Promise<boolean> {
  const holder = parseHolder(text);
  if (holder?.space === thisProcess.space) return beginningOf(holder.pid) !== holder.began;
  return !(await isFresh(path));
}

/** Whether its holder, on a machine that this one cannot see into, has touched it lately by the clock of the disk. */
async function isFresh(path: string): Promise<boolean> {
  const probe = `${path}.${randomMark()}.tmp`;
  try {
    await writeFile(probe, "", { flag: "wx" });
    return (await stat(probe)).mtimeMs - (await stat(path)).mtimeMs < abandonedMs;
  } catch {
    // The folder cannot be written: the clock of this machine has to do.
    const touched = await stat(path).catch(() => undefined);
    return touched !== undefined && Date.now() - touched.mtimeMs < abandonedMs;
  } finally {
    await rm(probe, { force: true }).catch(() => undefined);
  }
}

const thisProcess: Holder = {
  host: hostname(),
  space: processSpace(),
  pid: process.pid,
  began: beginningOf(process.pid) ?? "",
};

const randomMark = (): string => randomBytes(6).toString("hex");

function parseHolder(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isObject(value)) return undefined;
    const { host, space, pid, began } = value;
    if (typeof space !== "string" || !Number.isSafeInteger(pid) || (pid as number) < 1) return;
    return { host: String(host), space, pid: pid as number, began: String(began) };
  } catch {
    return undefined;
  }
}

function processSpace(): string {
  const parts = [hostname(), readText("/proc/sys/kernel/random/boot_id")];
  try {
    parts.push(readlinkSync("/proc/self/ns/pid"));
  } catch {}
  return createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 16);
}

/** When a process of this machine began; `""` where the system does not tell, undefined if there is none. */
function beginningOf(pid: number): string | undefined {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, under another user.
    if (isSystemError(error, "ESRCH")) return undefined;
  }
  // Field 3 is its state, field 22 when it began; the second one is a name in parentheses, with whatever in it.
  const status = readText(`/proc/${pid}/stat`);
  const fields = status.slice(status.lastIndexOf(")") + 2).split(" ");
  const isOver = fields[0] === "Z" || fields[0] === "X";
  return isOver ? undefined : (fields[19] ?? "");
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
