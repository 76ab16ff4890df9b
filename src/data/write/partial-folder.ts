import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, realpath, rename, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { DataError } from "../../errors.js";
import { fileFault, isSystemError } from "../files/file-fault.js";
import { syncPath } from "../files/sync-path.js";
import { type Manifest, unlistedFiles } from "../manifest.js";
import { leftovers, processMark } from "./leftovers.js";

export interface PartialFolderOptions {
  /** Whether a prepared folder that is there already is replaced. Nothing else ever is. Default: false. */
  overwrite?: boolean | undefined;
}

/** A folder in the making, beside the place where it will be. */
export interface PartialFolder {
  /** Empty; what will be the folder. */
  readonly data: string;
  /** For temporary files; goes away. */
  readonly scratch: string;
  /** Puts the folder in its place, whole; the one that was there is gone then. */
  commit(): Promise<void>;
  /** Removes all that was made; after `commit` it does nothing. */
  abandon(): Promise<void>;
}

/**
 * Starts a folder that appears under its name only when it is complete. What processes left that ended in the middle of
 * this is cleared first: their partial folders go, and a folder that one of them had moved aside comes back if its
 * successor never arrived.
 *
 * @throws DataError when something else is in the place, or the place cannot be written
 */
export async function partialFolder(
  out: string,
  options: PartialFolderOptions = {},
): Promise<PartialFolder> {
  const { overwrite = false } = options;
  try {
    const target = await realpath(out).catch(() => resolve(out));
    await clearLeftovers(target);
    await checkPlace(out, target, overwrite);
    return await makeFolder(out, target, overwrite);
  } catch (error) {
    throw fileFault(error, out, "make the folder");
  }
}

async function makeFolder(out: string, target: string, overwrite: boolean): Promise<PartialFolder> {
  const parent = dirname(target);
  const firstMade = await mkdir(parent, { recursive: true });
  const mark = `${processMark()}-${randomBytes(4).toString("hex")}`;
  const root = join(parent, `.${basename(target)}.partial-${mark}`);
  const aside = join(parent, `.${basename(target)}.replaced-${mark}`);
  const data = join(root, "data");
  const scratch = join(root, "scratch");
  await mkdir(root);
  await mkdir(data);
  await mkdir(scratch);
  let settled = false;
  return {
    data,
    scratch,
    commit: async () => {
      try {
        await rm(scratch, { recursive: true });
        await syncPath(data);
        await putInPlace(out, { data, target, aside, overwrite });
        settled = true;
        await syncPath(parent);
        await rmdir(root);
      } catch (error) {
        throw fileFault(error, out, "put the folder in its place");
      }
    },
    abandon: async () => {
      if (settled) return;
      settled = true;
      await rm(root, { recursive: true, force: true });
      await removeEmpty(parent, firstMade);
    },
  };
}

interface Places {
  readonly data: string;
  readonly target: string;
  readonly aside: string;
  readonly overwrite: boolean;
}

/** Renames the folder to its place. Between the two renames of a replacement the old one is aside, see `leftovers`. */
async function putInPlace(out: string, { data, target, aside, overwrite }: Places): Promise<void> {
  const before = await checkPlace(out, target, overwrite);
  if (before === "empty") await rmdir(target);
  if (before !== "prepared") return await rename(data, target);
  await rename(target, aside);
  try {
    await rename(data, target);
  } catch (error) {
    await rename(aside, target);
    throw error;
  }
  // The new one is there: what cannot be removed now is removed by the next run.
  await rm(aside, { recursive: true }).catch(() => undefined);
}

/** What is in the place; throws unless it may go. */
async function checkPlace(
  out: string,
  target: string,
  overwrite: boolean,
): Promise<"absent" | "empty" | "prepared"> {
  const names = await readdir(target).catch((error) => {
    if (isSystemError(error, "ENOENT")) return undefined;
    throw error;
  });
  if (names === undefined) return "absent";
  if ((await stat(target)).dev !== (await stat(dirname(target))).dev) {
    throw new DataError(`${out} is a mount point, which cannot be replaced; name a folder in it`);
  }
  if (names.length === 0) return "empty";
  const files = await preparedFiles(target);
  if (files === undefined) {
    throw new DataError(`${out} is not empty and holds no prepared data; nothing was written`);
  }
  const other = names.find((name) => !files.has(name));
  if (other !== undefined) {
    throw new DataError(`${out} also holds ${other}, which would be lost; nothing was written`);
  }
  if (!overwrite) {
    throw new DataError(`${out} holds prepared data already; overwrite it or name another folder`);
  }
  return "prepared";
}

/** Names of the files of a prepared folder, by its manifest; undefined if it is none or some are missing. */
async function preparedFiles(folder: string): Promise<ReadonlySet<string> | undefined> {
  try {
    const manifest = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8")) as Manifest;
    if (manifest.format !== "user-llm-data") return undefined;
    const names = manifest.files.map(({ name }) => name);
    for (const name of names) await stat(join(folder, name));
    return new Set([...unlistedFiles, ...names]);
  } catch {
    return undefined;
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    (error) => {
      if (isSystemError(error, "ENOENT")) return false;
      throw error;
    },
  );
}

async function clearLeftovers(target: string): Promise<void> {
  const { partial, replaced } = await leftovers(target);
  for (const path of partial) await rm(path, { recursive: true, force: true });
  for (const path of replaced) {
    const whole = (await preparedFiles(path)) !== undefined;
    if (whole && !(await exists(target))) await rename(path, target);
    else await rm(path, { recursive: true, force: true });
  }
}

/** Removes folders that are empty, from `folder` up to `top`. */
async function removeEmpty(folder: string, top: string | undefined): Promise<void> {
  if (top === undefined) return;
  for (let path = folder; ; path = dirname(path)) {
    const removed = await rmdir(path).then(
      () => true,
      () => false,
    );
    if (!removed || path === top) return;
  }
}
