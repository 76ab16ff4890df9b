import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { fileFault } from "../../data/files/file-fault.js";

/** Waiting bytes that are written without anybody asking. */
const plentyBytes = 64 * 1024;
/** How long bytes wait at most. */
const patienceMs = 1000;

/**
 * A file that grows at its end. `append` only remembers; bytes are written in the background, in order. What a failing
 * disk refused stays waiting and is tried again, at the place where it belongs: `flush` tells of the failure, and the file
 * is as if nothing had happened once the disk takes it.
 */
export class AppendFile {
  readonly path: string;
  #file: FileHandle | undefined;
  #end: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #writes: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  /**
   * Opened when there is something to write.
   *
   * @param end bytes of the file that count; what follows is overwritten
   */
  constructor(path: string, end = 0) {
    this.path = path;
    this.#end = end;
  }

  append(bytes: string | Uint8Array): void {
    const block = Buffer.from(bytes as Uint8Array);
    this.#waiting.push(block);
    this.#waitingBytes += block.length;
    if (this.#waitingBytes >= plentyBytes && this.#waitingBytes - block.length < plentyBytes) {
      this.#writeInBackground();
    }
    this.#timer ??= setTimeout(() => this.#writeInBackground(), patienceMs).unref();
  }

  /**
   * Resolves once everything appended so far is on the disk.
   *
   * @throws DataError when the disk does not take it
   */
  async flush(): Promise<void> {
    await this.#write();
    try {
      await this.#file?.datasync();
    } catch (error) {
      throw fileFault(error, this.path, "write");
    }
  }

  /** Flushes; the file is closed even when that fails. */
  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      const file = this.#file;
      this.#file = undefined;
      await file?.close();
    }
  }

  /** A failure is not lost: the bytes still wait, so `flush` meets it again. */
  #writeInBackground(): void {
    this.#write().catch(() => undefined);
  }

  #write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const result = this.#writes.then(() => this.#writeWaiting());
    this.#writes = result.catch(() => undefined);
    return result;
  }

  async #writeWaiting(): Promise<void> {
    if (this.#waiting.length === 0) return;
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [bytes];
    try {
      // Not for appending: that would forbid to write where a torn write ended.
      this.#file ??= await open(this.path, constants.O_WRONLY | constants.O_CREAT, 0o666);
      for (let at = 0; at < bytes.length; ) {
        const place = this.#end + at;
        at += (await this.#file.write(bytes, at, bytes.length - at, place)).bytesWritten;
      }
    } catch (error) {
      throw fileFault(error, this.path, "write");
    }
    this.#end += bytes.length;
    this.#waiting.splice(0, 1);
    this.#waitingBytes -= bytes.length;
  }
}
