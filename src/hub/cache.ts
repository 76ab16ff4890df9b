/**
 * The cache that all Hugging Face libraries share, a folder for each model:
 *
 *     models--org--name/blobs/<hash>                 contents, by their hashes
 *     models--org--name/snapshots/<commit>/<file>    links to them
 *     models--org--name/refs/<branch or tag>         the commit that it was when it was last looked up
 *
 * @see https://huggingface.co/docs/huggingface_hub/guides/manage-cache
 */
import { randomBytes } from "node:crypto";
import { copyFile, mkdir, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { isSystemError } from "../data/files/file-fault.js";
import { replaceFile } from "../data/files/replace-file.js";
import { isCommit, type ModelId } from "./model-id.js";

/** A model's place in the cache. */
export class CachedModel {
  readonly #folder: string;

  constructor(cache: string, { name }: ModelId) {
    this.#folder = join(cache, `models--${name.replace("/", "--")}`);
  }

  get blobs(): string {
    return join(this.#folder, "blobs");
  }

  snapshot(commit: string): string {
    return join(this.#folder, "snapshots", commit);
  }

  /** The commit that a revision was when it was last looked up; undefined if it never was. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const text = await readFile(join(this.#folder, "refs", revision), "utf8").catch(() => "");
    return isCommit(text.trim()) ? text.trim() : undefined;
  }

  /** Notes the commit that a revision is now. */
  async refer(revision: string, commit: string): Promise<void> {
    if (isCommit(revision) || (await this.commitOf(revision)) === commit) return;
    const path = join(this.#folder, "refs", revision);
    await mkdir(dirname(path), { recursive: true });
    await replaceFile(path, (append) => append(commit));
  }

  /** Puts a file into a snapshot: a link to its contents, or a copy where there are no links. */
  async link(commit: string, file: string, blob: string): Promise<void> {
    const path = join(this.snapshot(commit), file);
    await mkdir(dirname(path), { recursive: true });
    const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
    try {
      await symlink(relative(dirname(path), join(this.blobs, blob)), temporary).catch((error) => {
        if (!isSystemError(error, "EPERM")) throw error; // Windows, without the right to
        return copyFile(join(this.blobs, blob), temporary);
      });
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }
}

/** Bytes of a file; undefined if there is none, or a link that leads nowhere. */
export async function sizeOfFile(path: string): Promise<number | undefined> {
  return await stat(path).then(
    (found) => (found.isFile() ? found.size : undefined),
    () => undefined,
  );
}
