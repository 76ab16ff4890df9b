import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { fileFault } from "../../data/files/file-fault.js";
import { syncPath } from "../../data/files/sync-path.js";
import { writeAt } from "../../data/files/write-at.js";

/** A file in the making, beside its place, written from its start to its end. */
export class PartFile {
  #position = 0;

  private constructor(
    readonly path: string,
    readonly handle: FileHandle,
  ) {}

  /** What is left of an earlier try is written over. */
  static async create(path: string): Promise<PartFile> {
    try {
      return new PartFile(path, await open(`${path}.tmp`, "w"));
    } catch (error) {
      throw fileFault(error, path, "make the file");
    }
  }

  async append(bytes: Uint8Array): Promise<void> {
    try {
      await writeAt(this.handle, bytes, this.#position);
      this.#position += bytes.length;
    } catch (error) {
      throw fileFault(error, this.path, "write");
    }
  }

  /** Puts the file in its place once the disk has it. */
  async commit(): Promise<void> {
    try {
      await this.handle.sync();
      await this.handle.close();
      await rename(`${this.path}.tmp`, this.path);
      await syncPath(dirname(this.path));
    } catch (error) {
      throw fileFault(error, this.path, "write");
    }
  }

  /** Removes what was written; after `commit` it does nothing. */
  async abandon(): Promise<void> {
    if (this.handle.fd === -1) return;
    await this.handle.close();
    await rm(`${this.path}.tmp`, { force: true });
  }
}
