import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { isSystemError } from "../files/file-fault.js";

/** What is untouched for so long belongs to nobody, whatever its name says. */
const abandonedMs = 24 * 3600 * 1000;

/** This process and machine, as they stand in the names of its partial folders and files. */
export function processMark(): string {
  return `${machine()}-${process.pid}`;
}

/** Processes have numbers on one machine, or in one container, only. */
function machine(): string {
  return createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
}

/** What processes that are no more left beside a folder or file: `.<name>.partial-<mark>-*` and `.<name>.replaced-<mark>-*`. */
export async function leftovers(
  target: string,
): Promise<{ readonly partial: readonly string[]; readonly replaced: readonly string[] }> {
  const parent = dirname(target);
  const of = async (kind: string) => {
    const prefix = `.${basename(target)}.${kind}-`;
    const found: string[] = [];
    for (const name of await readdir(parent).catch(() => [])) {
      if (!name.startsWith(prefix)) continue;
      const mark = /^([0-9a-f]{8})-(\d+)-[0-9a-f]{8}$/.exec(name.slice(prefix.length));
      const path = join(parent, name);
      if (mark !== null && (await isOver(path, mark[1]!, Number(mark[2])))) found.push(path);
    }
    return found;
  };
  return { partial: await of("partial"), replaced: await of("replaced") };
}

async function isOver(path: string, host: string, pid: number): Promise<boolean> {
  if (host === machine() && !isAlive(pid)) return true;
  try {
    return Date.now() - (await lastTouched(path)) > abandonedMs;
  } catch (error) {
    // Its process is at work in it at this moment.
    if (isSystemError(error, "ENOENT")) return false;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, under another user.
    return !isSystemError(error, "ESRCH");
  }
}

async function lastTouched(path: string): Promise<number> {
  const found = await stat(path);
  // The time of change, as renaming leaves the time of modification.
  let last = found.ctimeMs;
  if (!found.isDirectory()) return last;
  for (const name of await readdir(path, { recursive: true })) {
    last = Math.max(last, (await stat(join(path, name))).ctimeMs);
  }
  return last;
}
