import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, realpath, rename, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { DataError } from "../../errors.js";
import { fileFault, isSystemError } from "../files/file-fault.js";
import { syncPath } from "../files/sync-path.js";
import { type Manifest, unlistedFiles } from "../manifest.js";
import { leftovers, processMark } from "./leftovers.js";

export interface PartialFolderOptions {
  /** Whether a folder of the kind that is there already is replaced. Nothing else ever is. Default: false. */
  overwrite?: boolean | undefined;
  /** What is made. Default: prepared data. */
  kind?: FolderKind | undefined;
}

/** Folders of one sort, which may replace each other. */
export interface FolderKind {
  /** In words: `prepared data`. */
  readonly name: string;
  /** Tells whether a name in the folder is one of its own; undefined if the folder is none or not whole. */
  recognise(folder: string): Promise<((name: string) => boolean) | undefined>;
}

const preparedData: FolderKind = {
  name: "prepared data",
  async recognise(folder) {
    const files = await preparedFiles(folder);
    return files && ((name) => files.has(name));
  },
};

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
  const { overwrite = false, kind = preparedData } = options;
  try {
    const target = await realpath(out).catch(() => resolve(out));
    await clearLeftovers(target, kind);
    await checkPlace(out, { target, overwrite, kind });
    return await makeFolder(out, { target, overwrite, kind });
  } catch (error) {
    throw fileFault(error, out, "make the folder");
  }
}

interface Place {
  readonly target: string;
  readonly overwrite: boolean;
  readonly kind: FolderKind;
}

async function makeFolder(out: string, place: Place): Promise<PartialFolder> {
  const { target } = place;
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
        await putInPlace(out, { ...place, data, aside });
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

interface Places extends Place {
  readonly data: string;
  readonly aside: string;
}

/** Renames the folder to its place. Between the two renames of a replacement the old one is aside, see `leftovers`. */
async function putInPlace(out: string, places: Places): Promise<void> {
  const { data, target, aside } = places;
  const before = await checkPlace(out, places);
  if (before === "empty") await rmdir(target);
  if (before !== "replaceable") return await rename(data, target);
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
  { target, overwrite, kind }: Place,
): Promise<"absent" | "empty" | "replaceable"> {
  const names = await readdir(target).catch((error) => {
    if (isSystemError(error, "ENOENT")) return undefined;
    throw error;
  });
  if (names === undefined) return "absent";
  if ((await stat(target)).dev !== (await stat(dirname(target))).dev) {
    throw new DataError(`${out} is a mount point, which cannot be replaced; name a folder in it`);
  }
  if (names.length === 0) return "empty";
  const isOwn = await kind.recognise(target);
  if (isOwn === undefined) {
    throw new DataError(`${out} is not empty and holds no ${kind.name}; nothing was written`);
  }
  const other = names.find((name) => !isOwn(name));
  if (other !== undefined) {
    throw new DataError(`${out} also holds ${other}, which would be lost; nothing was written`);
  }
  if (!overwrite) {
    throw new DataError(`${out} holds ${kind.name} already; overwrite it or name another folder`);
  }
  return "replaceable";
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

async function clearLeftovers(target: string, kind: FolderKind): Promise<void> {
  const { partial, replaced } = await leftovers(target);
  for (const path of partial) await rm(path, { recursive: true, force: true });
  for (const path of replaced) {
    const whole = (await kind.recognise(path)) !== undefined;
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
