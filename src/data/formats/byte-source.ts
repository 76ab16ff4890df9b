import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { constants, createGunzip, type Gunzip } from "node:zlib";
import { DataError } from "../../errors.js";
import { fileFault } from "../files/file-fault.js";
import { refuseLfsPointer } from "../files/refuse-lfs-pointer.js";

export interface ByteSourceOptions {
  signal?: AbortSignal | undefined;
  /** Bytes to read or inflate at once, at least 2. Default: 256 KiB. */
  blockBytes?: number | undefined;
}

const gzipMagic = [0x1f, 0x8b];
/** Of compressed data read at once. */
const compressedBytes = 32 << 10;
/** It can become a thousand times as much. Where a piece becomes more than this, smaller pieces are taken. */
const inflatedAtOnce = 1 << 20; // bytes

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
    this.#blockBytes = Math.max(gzipMagic.length, options.blockBytes ?? 256 << 10);
  }

  /**
   * @throws DataError when there is no such file, it is a folder or a pointer of Git LFS, or it may not be read
   */
  static async open(path: string, options: ByteSourceOptions = {}): Promise<ByteSource> {
    options.signal?.throwIfAborted();
    let file: FileHandle | undefined;
    try {
      file = await open(path);
      const stats = await file.stat();
      if (stats.isDirectory()) throw new DataError(`${path}: expected a file, got a folder`);
      await refuseLfsPointer(file, path);
      return new ByteSource(path, file, stats.isFile() ? stats.size : undefined, options);
    } catch (error) {
      await file?.close();
      throw fileFault(error, path, "read");
    }
  }

  /** Of the file, as it lies on disk. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** The next bytes of the content, at least one, valid until the next call; undefined at the end. */
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
    const first = await this.#read(Buffer.allocUnsafeSlow(this.#blockBytes));
    yield* gzipMagic.every((byte, i) => first[i] === byte)
      ? this.#inflated(first)
      : this.#plain(first);
    this.#digest = this.#hash.digest("hex");
  }

  async *#plain(first: Uint8Array): AsyncGenerator<Uint8Array> {
    const buffers = [0, 1].map(() => Buffer.allocUnsafeSlow(this.#blockBytes));
    for (let block = first, turn = 0; block.length > 0; turn = 1 - turn) {
      const next = this.#read(buffers[turn]!); // while the caller works on this block
      next.catch(() => {}); // awaited below, unless the caller has gone
      yield block;
      block = await next;
    }
  }

  async *#inflated(first: Uint8Array): AsyncGenerator<Uint8Array> {
    const inflation = new Inflation(this.name, this.#blockBytes);
    let waiting = first;
    let most = compressedBytes;
    const step = async (): Promise<Inflated> => {
      if (waiting.length === 0) waiting = await this.#read(Buffer.allocUnsafeSlow(compressedBytes));
      if (waiting.length === 0) return inflation.finish();
      const compressed = waiting.subarray(0, most);
      waiting = waiting.subarray(compressed.length);
      const inflated = await inflation.inflate(compressed);
      const bytes = inflated.blocks.reduce((sum, block) => sum + block.length, 0);
      most = bytes > inflatedAtOnce ? Math.ceil(most / 2) : Math.min(2 * most, compressedBytes);
      return inflated;
    };
    try {
      for (let next = step(); ; ) {
        const { blocks, end, fault } = await next;
        if (!end) {
          next = step(); // while the caller works on these blocks
          next.catch(() => {});
        }
        for (const [i, block] of blocks.entries()) {
          if (i > 0) await setImmediate(); // a small piece can become very many blocks
          yield block;
        }
        if (fault !== undefined) throw fault;
        if (end) return;
      }
    } finally {
      inflation.close();
    }
  }

  /** The next bytes of the file: as many as fit, except at its end. */
  async #read(into: Buffer): Promise<Uint8Array> {
    let filled = 0;
    try {
      while (filled < into.length) {
        const { bytesRead } = await this.file.read(into, filled, into.length - filled, null);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
    } catch (error) {
      throw fileFault(error, this.name, "read");
    }
    const read = into.subarray(0, filled);
    this.#bytesRead += filled;
    this.#hash.update(read);
    return read;
  }
}

/** What a piece of compressed data has become. */
interface Inflated {
  readonly blocks: readonly Buffer[];
  readonly end: boolean;
  /** What is wrong with the data behind the blocks. */
  readonly fault?: DataError | undefined;
}

/** Gzip, of any number of members, to bytes. */
class Inflation {
  readonly #gunzip: Gunzip;
  #compressedBytes = 0;
  #inflatedBytes = 0;
  #blocks: Buffer[] = [];
  #error: (Error & { code?: string }) | undefined;
  #ended = false;
  /** Called when the stream has failed or come to its end. */
  #wake: () => void = () => {};

  constructor(
    readonly name: string,
    blockBytes: number,
  ) {
    this.#gunzip = createGunzip({ chunkSize: Math.max(constants.Z_MIN_CHUNK, blockBytes) });
    this.#gunzip.on("data", (block: Buffer) => {
      this.#blocks.push(block);
      this.#inflatedBytes += block.length;
    });
    this.#gunzip.once("error", (error) => {
      this.#error = error;
      this.#wake();
    });
    this.#gunzip.once("end", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  async inflate(compressed: Uint8Array): Promise<Inflated> {
    this.#compressedBytes += compressed.length;
    if (!this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#gunzip.write(compressed, () => resolve());
      });
    }
    // The stream ends by itself at zeros behind a member. They are padding, and nothing else may follow.
    const rest = Math.min(compressed.length, this.#compressedBytes - this.#gunzip.bytesWritten);
    const padded = compressed.subarray(compressed.length - rest).every((byte) => byte === 0);
    const fault = this.#ended && !padded ? this.#fault("goes on after its end") : undefined;
    return this.#taken(false, fault);
  }

  async finish(): Promise<Inflated> {
    if (!this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#gunzip.end();
      });
    }
    return this.#taken(true);
  }

  close(): void {
    this.#gunzip.destroy();
  }

  #taken(end: boolean, fault = this.#failure()): Inflated {
    const blocks = this.#blocks;
    this.#blocks = [];
    return { blocks, end: end || fault !== undefined, fault };
  }

  #failure(): DataError | undefined {
    if (this.#error === undefined) return undefined;
    if (this.#error.code === "Z_BUF_ERROR") return this.#fault("is cut short");
    return this.#fault(`is corrupt (${this.#error.message})`);
  }

  #fault(what: string): DataError {
    const far = `${this.#gunzip.bytesWritten} bytes (${this.#inflatedBytes} inflated)`;
    return new DataError(`${this.name}: the gzip data ${what}, after ${far}`);
  }
}
