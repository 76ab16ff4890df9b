import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import type * as Arrow from "apache-arrow";
import { DataError } from "../../errors.js";
import { hashFile } from "../files/hash-file.js";
import { refuseLfsPointer } from "../files/refuse-lfs-pointer.js";
import { type ArrowChunk, type ArrowType, arrowColumn, canRead } from "./arrow-column.js";
import { decompressLz4Frame } from "./lz4-frame.js";
import { readingAs } from "./reading-as.js";
import type { ReaderOptions, Row, RowReader } from "./row.js";
import { shownNames } from "./shown.js";
import { ValueRow } from "./value-row.js";
import { walk } from "./walk.js";

/** What a table must look like: apache-arrow's do, of whatever version (7 or later). */
export interface ArrowTable {
  readonly schema: {
    readonly fields: readonly { readonly name: string; readonly type: unknown }[];
  };
  readonly batches: readonly ArrowBatch[];
}

interface ArrowBatch {
  readonly numRows: number;
  readonly data: { readonly children: readonly unknown[] };
}

/** A table; the bytes of an IPC file or stream; or the path of such a file (`.arrow`, `.feather`). */
export type ArrowData = ArrowTable | Uint8Array | ArrayBuffer | string;

export interface ArrowOptions extends ReaderOptions {
  /** For messages. Default: the file's name, or `table`. */
  name?: string | undefined;
  /** Other names of a column. The first that the table has is read. */
  aliases?: Readonly<Record<string, readonly string[]>> | undefined;
}

/**
 * Reads Arrow by columns, a record batch at a time: texts, numbers, booleans, dictionaries of these, and lists for bags.
 * Timestamps and dates give milliseconds, whatever their unit. The IPC forms may be compressed.
 *
 * @throws DataError when the data are not Arrow, or damaged
 */
export async function openArrow(data: ArrowData, options: ArrowOptions): Promise<RowReader> {
  if (typeof data === "string") return openFile(data, options);
  const name = options.name ?? "table";
  if (isTable(data)) return new ArrowReader(name, data, options);
  if (!ArrayBuffer.isView(data) && !(data instanceof ArrayBuffer)) {
    throw new DataError(`${name}: expected an Arrow table, the bytes of one, or a path`);
  }
  const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : data;
  return readingAs("Arrow", name, async () => {
    await checkEnds(bytes.length, (start, length) => bytes.subarray(start, start + length));
    const ipc = (await ipcReaders()).from(bytes).open();
    return new ArrowReader(name, { schema: schemaOf(ipc), batches: ipc }, options);
  });
}

async function openFile(path: string, options: ArrowOptions): Promise<RowReader> {
  const name = options.name ?? basename(path);
  const handle = await readingAs("Arrow", name, () => open(path));
  try {
    await refuseLfsPointer(handle, name);
    return await readingAs("Arrow", name, async () => {
      const { size } = await handle.stat();
      const file: ArrowFile = { path, handle, size, bytesRead: 0 };
      await checkEnds(size, async (position, length) => {
        const { buffer } = await handle.read(Buffer.alloc(length), 0, length, position);
        return buffer;
      });
      const ipc = await (await (await ipcReaders()).from(counting(file))).open();
      return new ArrowReader(name, { schema: schemaOf(ipc), batches: ipc }, options, file);
    });
  } catch (error) {
    await handle.close();
    throw error;
  }
}

const magic = "ARROW1";
/** Feather was a format of its own once; since its version 2 it is an Arrow file. */
const oldFeatherMagic = "FEA1";

/** A file (not a stream) has the same mark at its start and at its end; one that was cut off lacks the latter. */
async function checkEnds(
  size: number,
  at: (position: number, length: number) => Uint8Array | Promise<Uint8Array>,
): Promise<void> {
  if (size === 0) throw new DataError("it is empty");
  const marked = async (position: number, mark = magic) =>
    size >= mark.length && Buffer.from(await at(position, mark.length)).toString("latin1") === mark;
  if (await marked(0, oldFeatherMagic)) {
    throw new DataError("it is Feather version 1; write it again as version 2, or as Parquet");
  }
  if ((await marked(0)) && !(await marked(size - magic.length))) {
    throw new DataError("it has no end; the file is cut off");
  }
}

/** The file as apache-arrow reads it, which is in the order it likes. */
function counting(file: ArrowFile): FileHandle {
  const { handle } = file;
  const read = async (buffer: Uint8Array, offset: number, length: number, position: number) => {
    const result = await handle.read(buffer, offset, length, position);
    file.bytesRead = Math.min(file.size, file.bytesRead + result.bytesRead);
    return result;
  };
  const counted = { fd: handle.fd, stat: () => handle.stat(), read, close: async () => {} };
  return counted as unknown as FileHandle;
}

async function ipcReaders(): Promise<typeof Arrow.RecordBatchReader> {
  const { compressionRegistry, CompressionType, RecordBatchReader } = await import("apache-arrow");
  if (compressionRegistry.get(CompressionType.LZ4_FRAME) === null) {
    compressionRegistry.set(CompressionType.LZ4_FRAME, { decode: decompressLz4Frame });
  }
  if (compressionRegistry.get(CompressionType.ZSTD) === null) {
    const { decompressZstd } = await import("hyparquet-compressors");
    compressionRegistry.set(CompressionType.ZSTD, { decode: (bytes) => decompressZstd(bytes) });
  }
  return RecordBatchReader;
}

function schemaOf(ipc: { readonly schema?: Arrow.Schema }): Arrow.Schema {
  if (ipc.schema === undefined) throw new DataError("there is no Arrow schema in it");
  return ipc.schema;
}

interface ArrowFile {
  readonly path: string;
  readonly handle: FileHandle;
  readonly size: number;
  bytesRead: number;
}

interface ArrowStream {
  readonly schema: ArrowTable["schema"];
  readonly batches: Iterable<ArrowBatch> | AsyncIterable<ArrowBatch>;
}

class ArrowReader implements RowReader {
  readonly #table: ArrowStream;
  readonly #options: ArrowOptions;
  readonly #file: ArrowFile | undefined;
  /** Places of the columns that were asked for. */
  readonly #asked: number[] = [];
  #closed = false;
  #sha256: string | undefined;

  constructor(
    readonly name: string,
    table: ArrowStream,
    options: ArrowOptions,
    file?: ArrowFile,
  ) {
    this.#table = table;
    this.#options = options;
    this.#file = file;
  }

  get bytes(): number | undefined {
    return this.#file?.size;
  }

  get bytesRead(): number {
    return this.#file?.bytesRead ?? 0;
  }

  column(name: string | number): number {
    const { fields } = this.#table.schema;
    const names = [String(name), ...(this.#options.aliases?.[name] ?? [])];
    const wanted = names.find((one) => fields.some((field) => field.name === one));
    if (wanted === undefined) throw this.#noColumn(names);
    const places = [...fields.keys()].filter((i) => fields[i]!.name === wanted);
    if (places.length > 1) {
      throw new DataError(`${this.name}: ${places.length} columns are named "${wanted}"`);
    }
    const [place = 0] = places;
    const type = fields[place]!.type as ArrowType;
    if (!canRead(type)) {
      throw new DataError(
        `${this.name}: column "${wanted}" is of type ${type}; texts, numbers, timestamps and lists of those are read, a row an event`,
      );
    }
    return this.#asked.push(place) - 1;
  }

  async *rows(): AsyncGenerator<Iterable<Row>> {
    const { fields } = this.#table.schema;
    let before = 0;
    for await (const batch of readable(this.name, this.#table.batches)) {
      const columns = await readingAs("Arrow", this.name, () =>
        this.#asked.map((place) =>
          arrowColumn(fields[place]!.name, batch.data.children[place] as ArrowChunk),
        ),
      );
      yield* walk(new ValueRow(this.name, columns), batch.numRows, before, this.#options.signal);
      before += batch.numRows;
    }
    if (this.#file === undefined) return;
    this.#sha256 = await hashFile(this.#file.path, this.#options.signal);
    this.#file.bytesRead = this.#file.size;
  }

  sha256(): string | undefined {
    return this.#sha256;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#file?.handle.close();
  }

  #noColumn(names: readonly string[]): DataError {
    const wanted = names.map((name) => `"${name}"`).join(" or ");
    const has = shownNames(this.#table.schema.fields.map(({ name }) => name));
    return new DataError(`${this.name}: there is no column ${wanted}; there are ${has}`);
  }
}

/** What the iteration throws, as a fault of the data. */
async function* readable<T>(
  name: string,
  values: Iterable<T> | AsyncIterable<T>,
): AsyncGenerator<T> {
  const iterator =
    Symbol.asyncIterator in values ? values[Symbol.asyncIterator]() : values[Symbol.iterator]();
  for (;;) {
    const { done, value } = await readingAs("Arrow", name, async () => iterator.next());
    if (done === true) return;
    yield value;
  }
}

function isTable(data: ArrowData): data is ArrowTable {
  return typeof data === "object" && "schema" in data && "batches" in data;
}
