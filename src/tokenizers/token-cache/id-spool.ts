import { type FileHandle, open } from "node:fs/promises";
import { Int32List } from "../../data/collect/lists.js";
import { writeAt } from "../../data/files/write-at.js";
import { DataError } from "../../errors.js";

const mostTokens = 2 ** 31 - 1;
const blockBytes = 4 << 20;

/** Rows that stand one after the other in the file. */
interface Block {
  /** Of each row, in bytes. */
  readonly lengths: Float64Array;
  readonly bytes: Uint8Array;
}

/**
 * Ids on the disk until all of them are there: an Arrow file wants to know how many there are before the first. Only their
 * numbers stay in memory.
 */
export class IdSpool {
  tokens = 0;
  readonly #counts = new Int32List();
  readonly #waiting = new Int32Array(blockBytes / 4);
  #waits = 0;
  #written = 0;

  private constructor(readonly file: FileHandle) {}

  static async create(path: string): Promise<IdSpool> {
    return new IdSpool(await open(path, "wx+"));
  }

  get texts(): number {
    return this.#counts.length;
  }

  /** @throws DataError when there are more than an Arrow file holds */
  async add(ids: Int32Array): Promise<void> {
    this.tokens += ids.length;
    if (this.tokens > mostTokens) {
      throw new DataError(`there are more than ${mostTokens} tokens; encode the texts in parts`);
    }
    this.#counts.push(ids.length);
    if (this.#waits + ids.length > this.#waiting.length) await this.#flush();
    if (ids.length > this.#waiting.length) return this.#write(ids);
    this.#waiting.set(ids, this.#waits);
    this.#waits += ids.length;
  }

  /** All rows, some megabytes at a time. */
  async *blocks(): AsyncGenerator<Block> {
    await this.#flush();
    const counts = this.#counts.toArray();
    let position = 0;
    for (let row = 0; row < counts.length; ) {
      const first = row;
      let bytes = 0;
      do bytes += 4 * counts[row++]!;
      while (
        row < counts.length &&
        bytes + 4 * counts[row]! <= blockBytes &&
        row - first < 1 << 16
      );
      const lengths = Float64Array.from(counts.subarray(first, row), (count) => 4 * count);
      yield { lengths, bytes: await this.#read(position, bytes) };
      position += bytes;
    }
  }

  close(): Promise<void> {
    return this.file.close();
  }

  async #flush(): Promise<void> {
    await this.#write(this.#waiting.subarray(0, this.#waits));
    this.#waits = 0;
  }

  async #write(ids: Int32Array): Promise<void> {
    const bytes = new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength);
    await writeAt(this.file, bytes, this.#written);
    this.#written += bytes.length;
  }

  async #read(position: number, length: number): Promise<Uint8Array> {
    const bytes = Buffer.alloc(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.file.read(bytes, done, length - done, position + done);
      if (bytesRead === 0)
        throw new DataError("the file of ids was cut short while it was written");
      done += bytesRead;
    }
    return bytes;
  }
}
