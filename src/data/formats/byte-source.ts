import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { createGunzip, type Gunzip } from "node:zlib";
import { DataError } from "../../errors.js";

export interface ByteSourceOptions {
  signal?: AbortSignal | undefined;
  /** Most bytes to give at once. Default: 256 KiB. */
  blockBytes?: number | undefined;
}

const gzipMagic = [0x1f, 0x8b];
/** Of compressed data taken at once: what it becomes waits in memory, up to a thousand times as much. */
const compressedBlockBytes = 32 << 10;

/** The content of a file, inflated if it is gzip, and the digest of the file's own bytes. One pass. */
export class ByteSource {
  #bytesRead = 0;
  readonly #hash = createHash("sha256");
  #digest: string | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #blockBytes: number;
  #blocks: AsyncGenerator<Uint8Array> | undefined;

  private constructor(
    /** As the user gave it. */
    readonly name: string,
    private readonly file: FileHandle,
    /** Bytes on disk; undefined for a pipe. */
    readonly bytes: number | undefined,
    options: ByteSourceOptions,
  ) {
    this.#signal = options.signal;
    this.#blockBytes = options.blockBytes ?? 256 << 10;
  }

  /**
   * @throws DataError when there is no such file, it is a folder, or it may not be read
   */
  static async open(path: string, options: ByteSourceOptions = {}): Promise<ByteSource> {
    options.signal?.throwIfAborted();
    let file: FileHandle | undefined;
    try {
      file = await open(path);
      const stats = await file.stat();
      if (stats.isDirectory()) throw new DataError(`${path}: expected a file, got a folder`);
      return new ByteSource(path, file, stats.isFile() ? stats.size : undefined, options);
    } catch (error) {
      await file?.close();
      throw asDataError(path, error);
    }
  }

  /** Of the file, as it lies on disk. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** The next bytes of the content, at least one and at most a block; undefined at the end. They are the caller's. */
  async next(): Promise<Uint8Array | undefined> {
    this.#signal?.throwIfAborted();
    this.#blocks ??= this.#content();
    const { value } = await this.#blocks.next();
    this.#signal?.throwIfAborted();
    return value ?? undefined;
  }

  /** SHA-256 of the file's bytes, in hexadecimal, once `next` has reached the end. */
  sha256(): string | undefined {
    return this.#digest;
  }

  async close(): Promise<void> {
    await this.#blocks?.return(undefined);
    await this.file.close();
  }

  async *#content(): AsyncGenerator<Uint8Array> {
    const first = await this.#read(Math.max(this.#blockBytes, gzipMagic.length));
    yield* gzipMagic.every((byte, i) => first[i] === byte)
      ? this.#inflated(first)
      : this.#plain(first);
    this.#digest = this.#hash.digest("hex");
  }

  async *#plain(first: Uint8Array): AsyncGenerator<Uint8Array> {
    for (let block = first; block.length > 0; ) {
      const next = this.#read(this.#blockBytes); // while the caller works on this one
      next.catch(() => {}); // awaited below, unless the caller has gone
      yield block;
      block = await next;
    }
  }

  async *#inflated(first: Uint8Array): AsyncGenerator<Uint8Array> {
    const inflation = new Inflation(this.name, this.#blockBytes);
    try {
      for (let offset = 0; offset < first.length; offset += compressedBlockBytes) {
        yield* inflation.inflate(first.subarray(offset, offset + compressedBlockBytes));
      }
      for (;;) {
        const compressed = await this.#read(compressedBlockBytes);
        if (compressed.length === 0) break;
        yield* inflation.inflate(compressed);
      }
      yield* inflation.finish();
    } finally {
      inflation.close();
    }
  }

  /** The next bytes of the file: `length` of them except at its end. */
  async #read(length: number): Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafeSlow(length);
    let filled = 0;
    try {
      while (filled < length) {
        const { bytesRead } = await this.file.read(buffer, filled, length - filled, null);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
    } catch (error) {
      throw asDataError(this.name, error);
    }
    const read = buffer.subarray(0, filled);
    this.#bytesRead += filled;
    this.#hash.update(read);
    return read;
  }
}

/** Gzip, of any number of members, to bytes. What comes before a fault is given before the error is thrown. */
class Inflation {
  readonly #gunzip: Gunzip;
  #compressedBytes = 0;
  #inflatedBytes = 0;
  #inflated: Buffer[] = [];
  #error: Error | undefined;
  #ended = false;
  /** Called when the stream has failed or come to its end. */
  #wake: () => void = () => {};

  constructor(
    readonly name: string,
    blockBytes: number,
  ) {
    this.#gunzip = createGunzip({ chunkSize: Math.max(64, blockBytes) });
    this.#gunzip.on("data", (block: Buffer) => this.#inflated.push(block));
    this.#gunzip.once("error", (error) => {
      this.#error = error;
      this.#wake();
    });
    this.#gunzip.once("end", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  async *inflate(compressed: Uint8Array): AsyncGenerator<Uint8Array> {
    this.#compressedBytes += compressed.length;
    if (!this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#gunzip.write(compressed, () => resolve());
      });
      yield* this.#taken();
    }
    // The stream ends by itself at zeros after a member. They are padding, and nothing else may follow.
    if (this.#ended) {
      const rest = Math.min(compressed.length, this.#compressedBytes - this.#gunzip.bytesWritten);
      if (compressed.subarray(compressed.length - rest).some((byte) => byte !== 0)) {
        throw this.#fault("goes on after its end");
      }
    }
  }

  async *finish(): AsyncGenerator<Uint8Array> {
    if (this.#ended) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      this.#gunzip.end();
    });
    yield* this.#taken();
  }

  close(): void {
    this.#gunzip.destroy();
  }

  *#taken(): Generator<Uint8Array> {
    const taken = this.#inflated;
    this.#inflated = [];
    for (const block of taken) {
      this.#inflatedBytes += block.length;
      yield block;
    }
    if (this.#error !== undefined) throw this.#failure(this.#error);
  }

  #failure(error: Error & { code?: string }): DataError {
    return error.code === "Z_BUF_ERROR"
      ? this.#fault("is cut short")
      : this.#fault(`is corrupt (${error.message})`);
  }

  #fault(what: string): DataError {
    const far = `${this.#gunzip.bytesWritten} bytes (${this.#inflatedBytes} inflated)`;
    return new DataError(`${this.name}: the gzip data ${what}, after ${far}`);
  }
}

function asDataError(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof DataError) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOENT" || code === "ENOTDIR") return new DataError(`${path}: no such file`);
  if (code === "EISDIR") return new DataError(`${path}: expected a file, got a folder`);
  if (code === "EACCES" || code === "EPERM") {
    return new DataError(`${path}: no permission to read this file`);
  }
  return new DataError(`${path}: cannot be read (${error.message})`, { cause: error });
}
