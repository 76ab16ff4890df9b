import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import type {
  AsyncBuffer,
  Compressors,
  FileMetaData,
  ParquetParsers,
  ParquetScan,
  SchemaElement,
  SchemaTree,
} from "hyparquet";
import { DataError } from "../../errors.js";
import { hashFile } from "../files/hash-file.js";
import { refuseLfsPointer } from "../files/refuse-lfs-pointer.js";
import { readingAs } from "./reading-as.js";
import type { ReaderOptions, Row, RowReader } from "./row.js";
import { shownNames } from "./shown.js";
import { type ValueColumn, ValueRow } from "./value-row.js";
import { walk } from "./walk.js";

/** Decoding is synchronous: a larger row group is taken in pieces, so that the event loop waits for no more than one. */
const pieceRows = 65_536;

/**
 * Reads a Parquet file of any compression, a row group at a time and only the columns that are asked for: texts, numbers,
 * booleans, timestamps (as milliseconds, whatever their unit), and lists of those for bags.
 *
 * @throws DataError when the file is not Parquet, or damaged
 */
export async function openParquet(path: string, options: ReaderOptions): Promise<RowReader> {
  const name = basename(path);
  const handle = await readingAs("Parquet", name, () => open(path));
  try {
    await refuseLfsPointer(handle, name);
    return await readingAs("Parquet", name, async () => {
      const { parquetMetadataAsync, parquetSchema } = await import("hyparquet");
      const { size } = await handle.stat();
      const ranges = rangesOf(handle, size);
      const metadata = await parquetMetadataAsync(ranges);
      const columns = parquetSchema(metadata).children;
      return new ParquetReader({ path, name, handle, ranges, metadata, columns }, options);
    });
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The file as hyparquet asks for it. */
function rangesOf(handle: FileHandle, byteLength: number): AsyncBuffer {
  return {
    byteLength,
    async slice(start, end = byteLength) {
      if (!(start >= 0 && start <= end && end <= byteLength)) {
        throw new DataError(`it refers to bytes ${start} to ${end} of its ${byteLength}`);
      }
      const bytes = new Uint8Array(end - start);
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
      if (bytesRead < bytes.length) throw new DataError("it got shorter while it was read");
      return bytes.buffer;
    },
  };
}

interface ParquetFile {
  readonly path: string;
  readonly name: string;
  readonly handle: FileHandle;
  readonly ranges: AsyncBuffer;
  readonly metadata: FileMetaData;
  readonly columns: readonly SchemaTree[];
}

class ParquetReader implements RowReader {
  readonly #file: ParquetFile;
  readonly #options: ReaderOptions;
  readonly #rows: number;
  /** The columns that were asked for. */
  readonly #asked: SchemaTree[] = [];
  #rowsRead = 0;
  #sha256: string | undefined;

  constructor(file: ParquetFile, options: ReaderOptions) {
    this.#file = file;
    this.#options = options;
    this.#rows = file.metadata.row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0);
  }

  get name(): string {
    return this.#file.name;
  }

  get bytes(): number {
    return this.#file.ranges.byteLength;
  }

  /** Row groups are read out of order, so this is a share of the rows. */
  get bytesRead(): number {
    if (this.#sha256 !== undefined) return this.bytes;
    return Math.floor((this.bytes * this.#rowsRead) / (this.#rows + 1));
  }

  column(name: string | number): number {
    const { columns } = this.#file;
    const column = columns.find(({ element }) => element.name === name);
    if (column === undefined) {
      const has = shownNames(columns.map(({ element }) => element.name));
      throw new DataError(`${this.name}: there is no column "${name}"; there are ${has}`);
    }
    if (!canRead(column)) {
      throw new DataError(
        `${this.name}: column "${name}" is of type ${typeName(column)}; texts, numbers, timestamps and lists of those are read`,
      );
    }
    return this.#asked.push(column) - 1;
  }

  async *rows(): AsyncGenerator<Iterable<Row>> {
    const { path, metadata } = this.#file;
    const { signal } = this.#options;
    const scan = await readingAs("Parquet", this.name, () => this.#scan());
    for (const { rowStart, rowEnd } of scan.ranges) {
      const lists = await this.#lists(scan, rowStart, rowEnd);
      for (let start = rowStart; start < rowEnd; start += pieceRows) {
        signal?.throwIfAborted();
        const end = Math.min(start + pieceRows, rowEnd);
        const columns: ValueColumn[] = [];
        for (const column of this.#asked) {
          const list = lists.get(column)?.slice(start - rowStart, end - rowStart);
          columns.push(columnOf(column, list ?? (await this.#values(scan, column, start, end))));
        }
        yield* walk(new ValueRow(this.name, columns), end - start, start, signal);
        this.#rowsRead = end;
      }
    }
    if (this.#rows !== Number(metadata.num_rows)) {
      throw new DataError(
        `${this.name}: cannot be read as Parquet: its row groups have ${this.#rows} rows, expected ${metadata.num_rows}`,
      );
    }
    this.#sha256 = await hashFile(path, signal);
  }

  sha256(): string | undefined {
    return this.#sha256;
  }

  close(): Promise<void> {
    return this.#file.handle.close();
  }

  async #scan(): Promise<ParquetScan> {
    const { parquetScan } = await import("hyparquet");
    const { ranges, metadata } = this.#file;
    const columns = [...new Set(this.#asked.map(({ element }) => element.name))];
    const compressors = await compressorsFor(metadata);
    return parquetScan({
      file: ranges,
      metadata,
      columns,
      compressors,
      parsers,
      geoparquet: false,
    });
  }

  /** Where a list ends is known only by reading on from the start, so lists are read by the row group. */
  async #lists(
    scan: ParquetScan,
    start: number,
    end: number,
  ): Promise<ReadonlyMap<SchemaTree, unknown[]>> {
    const lists = new Map<SchemaTree, unknown[]>();
    for (const column of this.#asked) {
      if (isLeaf(column)) continue;
      lists.set(column, Array.from(await this.#values(scan, column, start, end)));
    }
    return lists;
  }

  async #values(
    scan: ParquetScan,
    { element }: SchemaTree,
    rowStart: number,
    rowEnd: number,
  ): Promise<ArrayLike<unknown>> {
    return readingAs("Parquet", this.name, async () => {
      const values = await scan.readColumn({ column: element.name, rowStart, rowEnd });
      const rows = rowEnd - rowStart;
      if (values.length === rows) return values;
      throw new DataError(
        `column "${element.name}" is damaged: it has ${values.length} values, expected ${rows}`,
      );
    });
  }
}

function columnOf({ element }: SchemaTree, values: ArrayLike<unknown>): ValueColumn {
  return { name: element.name, moments: isMoment(element), get: (row) => values[row] };
}

const texts = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Moments as milliseconds, rounded down. What is stored as bytes and means text must be text. */
const parsers: Partial<ParquetParsers> = {
  timestampFromMilliseconds: Number,
  timestampFromMicroseconds: (micros: bigint) => flooredQuotient(micros, 1000n),
  timestampFromNanoseconds: (nanos: bigint) => flooredQuotient(nanos, 1_000_000n),
  dateFromDays: (days: number) => days * 86_400_000,
  stringFromBytes: (bytes: Uint8Array | undefined) => bytes && texts.decode(bytes),
  jsonFromBytes: (bytes: Uint8Array | undefined) => bytes && JSON.parse(texts.decode(bytes)),
};

function flooredQuotient(value: bigint, divisor: bigint): number {
  return Number((value - (((value % divisor) + divisor) % divisor)) / divisor);
}

async function compressorsFor({ row_groups }: FileMetaData): Promise<Compressors> {
  const codecs = new Set(
    row_groups.flatMap((group) => group.columns.map(({ meta_data }) => meta_data?.codec)),
  );
  codecs.delete("UNCOMPRESSED");
  if (codecs.size === 0) return {};
  const { compressors } = await import("hyparquet-compressors");
  const inflaters: Compressors = {
    ...compressors,
    GZIP: (input, length) => gunzipSync(input, { maxOutputLength: Math.max(length, 1) }),
    BROTLI: (input, length) =>
      brotliDecompressSync(input, { maxOutputLength: Math.max(length, 1) }),
  };
  // Some writers leave a page of nulls without a byte, which is nothing to a codec.
  return Object.fromEntries(
    Object.entries(inflaters).map(([codec, inflate]) => [
      codec,
      (input: Uint8Array, length: number) => (input.length === 0 ? input : inflate(input, length)),
    ]),
  );
}

function isLeaf({ element, children }: SchemaTree): boolean {
  return children.length === 0 && element.repetition_type !== "REPEATED";
}

function isMoment({ type, converted_type, logical_type }: SchemaElement): boolean {
  return (
    logical_type?.type === "TIMESTAMP" ||
    converted_type === "DATE" ||
    converted_type === "TIMESTAMP_MILLIS" ||
    converted_type === "TIMESTAMP_MICROS" ||
    (type === "INT96" && converted_type === undefined)
  );
}

function canRead(column: SchemaTree): boolean {
  const { element, children } = column;
  if (children.length === 0) return canReadValues(element);
  const [repeated] = children;
  if (element.converted_type !== "LIST" || children.length !== 1 || repeated === undefined)
    return false;
  if (repeated.element.repetition_type !== "REPEATED") return false;
  if (repeated.children.length === 0) return canReadValues(repeated.element);
  const [value] = repeated.children;
  return repeated.children.length === 1 && isLeaf(value!) && canReadValues(value!.element);
}

/** Bytes that are no text, and types that only mean something to a program. */
function canReadValues({ type, converted_type, logical_type }: SchemaElement): boolean {
  if (converted_type === "BSON" || converted_type === "INTERVAL") return false;
  if (logical_type?.type === "GEOMETRY" || logical_type?.type === "GEOGRAPHY") return false;
  if (type !== "FIXED_LEN_BYTE_ARRAY") return type !== undefined;
  return converted_type === "DECIMAL" || ["UUID", "FLOAT16"].includes(logical_type?.type ?? "");
}

function typeName({ element, children }: SchemaTree): string {
  const name = element.logical_type?.type ?? element.converted_type ?? element.type ?? "GROUP";
  const inner = children.map((child) => `${child.element.name}: ${typeName(child)}`).join(", ");
  return inner === "" ? name : `${name}<${inner}>`;
}
