import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** Files that belong together; they count once the last one has its name. */
export class FilesInTheMaking implements AsyncDisposable {
  readonly #written: { temporary: string; path: string }[] = [];
  readonly #named: string[] = [];

  /** Writes a file under another name in the same folder. */
  async write(path: string, body: (handle: FileHandle) => Promise<void>): Promise<void> {
    const temporary = join(
      dirname(path),
      `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`,
    );
    const handle = await open(temporary, "wx");
    this.#written.push({ temporary, path });
    try {
      await body(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }

  /** Gives all files their names, in the order in which they were written: the disk has the others before the last. */
  async publish(): Promise<void> {
    for (let next = this.#written[0]; next; next = this.#written[0]) {
      const last = this.#written.length === 1;
      if (last) {
        if (this.#named.length > 0) await syncFolder(dirname(next.path));
        this.#named.length = 0; // from here on the others may be needed
      }
      await rename(next.temporary, next.path);
      this.#written.shift();
      if (last) await syncFolder(dirname(next.path));
      else this.#named.push(next.path);
    }
  }

  /** Removes what does not count. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { temporary } of this.#written) await rm(temporary, { force: true });
    for (const path of this.#named) await rm(path, { force: true });
  }
}

/** Makes renames last. Some file systems do not offer it, and the files are whole without it. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {}
}
