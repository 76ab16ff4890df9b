/**
 * Reading of the Arrow files that `prepare` writes, without a copy: one record batch, no compression, no dictionaries.
 * apache-arrow reads them too, but loading it takes longer than opening 20 million events may.
 */
import { DataError } from "../../errors.js";
import { FlatTable } from "./flat-table.js";

/** `timestamp` is in milliseconds, UTC; `bag` a list of int32; `text` has 64-bit offsets. */
export type ColumnType = "int32" | "int64" | "timestamp" | "float64" | "name" | "bag" | "text";

/** A column that a file must have. */
export interface ExpectedColumn {
  readonly name: string;
  readonly type: ColumnType;
  readonly nullable?: boolean | undefined;
}

/** The buffers of a column. Offsets are as the file has them: between the first and the last, not checked. */
export type ArrowColumn =
  | { readonly type: "int32"; readonly values: Int32Array }
  | { readonly type: "int64" | "timestamp"; readonly values: BigInt64Array }
  | { readonly type: "float64"; readonly values: Float64Array }
  | { readonly type: "bag"; readonly offsets: Int32Array; readonly values: Int32Array }
  | { readonly type: "name" | "text"; readonly texts: TextColumn };

const magic = "ARROW1";

/** Type numbers of Arrow's Schema.fbs. */
const types = {
  int: 2,
  floatingPoint: 3,
  utf8: 5,
  timestamp: 10,
  list: 12,
  largeUtf8: 20,
} as const;
const recordBatchHeader = 3;
const batchWords = 3;
const bufferWords = 2;

/**
 * Finds the columns of a file.
 *
 * @param path for messages
 * @throws DataError when the file is not one that `prepare` wrote, or has other columns or rows
 */
export function readArrowTable(
  path: string,
  file: ArrayBuffer,
  rows: number,
  expected: readonly ExpectedColumn[],
): ReadonlyMap<string, ArrowColumn> {
  try {
    return new ArrowFile(path, file).columns(rows, expected);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new DataError(`${path}: not a valid Arrow file (${error.message})`, { cause: error });
  }
}

class ArrowFile {
  readonly #path: string;
  readonly #file: ArrayBuffer;
  readonly #footer: FlatTable;

  constructor(path: string, file: ArrayBuffer) {
    this.#path = path;
    this.#file = file;
    const end = file.byteLength - magic.length;
    if (end < 16 || this.#letters(0) !== magic || this.#letters(end) !== magic) {
      this.#fail(`not an Arrow file: it must begin and end with ${magic}`);
    }
    const length = new DataView(file).getInt32(end - 4, true);
    if (length < 4 || length > end - 12) this.#fail(`its footer cannot have ${length} bytes`);
    this.#footer = FlatTable.root(new DataView(file, end - 4 - length, length));
  }

  columns(rows: number, expected: readonly ExpectedColumn[]): ReadonlyMap<string, ArrowColumn> {
    this.#checkSchema(expected);
    const { batch, body, bodyBytes } = this.#batch();
    if (batch.table(3) !== undefined) this.#fail("it is compressed, prepared files are not");
    const length = batch.size(0);
    if (length !== rows) this.#fail(`it has ${length} rows, the manifest says ${rows}`);

    const nodes = batch.structs(1, bufferWords);
    const buffers = batch.structs(2, bufferWords).map(([offset = 0, bytes = 0]) => {
      if (offset % 8 !== 0) this.#fail(`a buffer starts at ${offset}, which 8 does not divide`);
      if (offset + bytes > bodyBytes) this.#fail("a buffer ends outside of the file");
      return { start: body + offset, bytes };
    });
    const columns = new Map<string, ArrowColumn>();
    const next = { node: 0, buffer: 0 };
    for (const column of expected) {
      columns.set(column.name, this.#column(column, rows, nodes, buffers, next));
    }
    return columns;
  }

  #column(
    { name, type, nullable = false }: ExpectedColumn,
    rows: number,
    nodes: readonly number[][],
    buffers: readonly Span[],
    next: { node: number; buffer: number },
  ): ArrowColumn {
    const where = `column "${name}"`;
    const node = (): number => {
      const [length = -1, nulls = -1] = nodes[next.node++] ?? [];
      if (length < 0) this.#fail(`${where} is not there`);
      if (nulls > 0 && !nullable) this.#fail(`${where} has nulls`);
      return length;
    };
    const buffer = (what: string, elements: number, bytes: number): Span => {
      const span = buffers[next.buffer++];
      if (span === undefined || span.bytes < elements * bytes) {
        this.#fail(
          `${where}: its ${what} need ${elements * bytes} bytes, there are ${span?.bytes ?? 0}`,
        );
      }
      return span;
    };
    const length = node();
    if (length !== rows) this.#fail(`${where} has ${length} rows, not ${rows}`);
    const nulls = nullable && (nodes[next.node - 1]![1] ?? 0) > 0;
    const validity = buffer("validity bits", nulls ? Math.ceil(rows / 8) : 0, 1);

    switch (type) {
      case "int32":
        return { type, values: new Int32Array(this.#file, buffer("values", rows, 4).start, rows) };
      case "float64":
        return {
          type,
          values: new Float64Array(this.#file, buffer("values", rows, 8).start, rows),
        };
      case "int64":
      case "timestamp":
        return {
          type,
          values: new BigInt64Array(this.#file, buffer("values", rows, 8).start, rows),
        };
      case "bag": {
        const offsets = this.#offsets(rows, rows + 1, (words) => buffer("offsets", words, 4));
        const elements = node();
        buffer("validity bits", 0, 1);
        const values = new Int32Array(this.#file, buffer("values", elements, 4).start, elements);
        this.#checkEnds(where, offsets[0]!, offsets[rows]!, elements);
        return { type, offsets, values };
      }
      case "name":
      case "text": {
        const wide = type === "text";
        const offsets = this.#offsets(rows, wide ? 2 * (rows + 1) : rows + 1, (words) =>
          buffer("offsets", words, 4),
        );
        const values = buffer("bytes", 0, 1);
        const bits = nulls
          ? new Uint8Array(this.#file, validity.start, Math.ceil(rows / 8))
          : undefined;
        const bytes = Buffer.from(this.#file, values.start, values.bytes);
        const texts = new TextColumn(`${this.#path}, ${where}`, rows, offsets, wide, bytes, bits);
        this.#checkEnds(where, texts.offset(0), texts.offset(rows), values.bytes);
        return { type, texts };
      }
    }
  }

  /** @param words 32-bit words of the offsets; without rows some writers leave them out */
  #offsets(rows: number, words: number, buffer: (words: number) => Span): Int32Array {
    if (rows > 0) return new Int32Array(this.#file, buffer(words).start, words);
    buffer(0);
    return new Int32Array(words);
  }

  #checkEnds(where: string, first: number, last: number, elements: number): void {
    if (first !== 0 || last < 0 || last > elements) {
      this.#fail(`${where}: its offsets go from ${first} to ${last}, there are ${elements} values`);
    }
  }

  #checkSchema(expected: readonly ExpectedColumn[]): void {
    const schema = this.#footer.table(1);
    if (schema === undefined || schema.int16(0) !== 0) this.#fail("it has no little-endian schema");
    const found = schema.tables(1).map((field) => `"${field.text(0) ?? ""}" (${typeOf(field)})`);
    for (const [i, { name, type }] of expected.entries()) {
      const wanted = `"${name}" (${type})`;
      if (found[i] !== wanted)
        this.#fail(`column ${i + 1} is ${found[i] ?? "missing"}, expected ${wanted}`);
    }
    if (found.length > expected.length) {
      this.#fail(`it has a column ${found[expected.length]} that the manifest does not name`);
    }
  }

  #batch(): { batch: FlatTable; body: number; bodyBytes: number } {
    const blocks = this.#footer.structs(3, batchWords);
    const [offset = 0, headerBytes = 0, bodyBytes = 0] = blocks[0] ?? [];
    if (blocks.length !== 1)
      this.#fail(`it has ${blocks.length} record batches, prepared files have one`);
    const body = offset + headerBytes;
    if (
      offset % 8 !== 0 ||
      headerBytes < 16 ||
      body % 8 !== 0 ||
      body + bodyBytes > this.#file.byteLength
    ) {
      this.#fail("its record batch lies outside of the file");
    }
    const prefix = new DataView(this.#file, offset, 8);
    const length = prefix.getInt32(4, true);
    if (prefix.getInt32(0, true) !== -1 || length < 8 || length > headerBytes - 8) {
      this.#fail("its record batch has no valid header");
    }
    const message = FlatTable.root(new DataView(this.#file, offset + 8, length));
    const batch = message.table(2);
    if (message.uint8(1) !== recordBatchHeader || batch === undefined) {
      this.#fail("what should be its record batch is something else");
    }
    return { batch, body, bodyBytes };
  }

  #letters(start: number): string {
    return Buffer.from(this.#file, start, magic.length).toString("latin1");
  }

  #fail(rule: string): never {
    throw new DataError(`${this.#path}: ${rule}`);
  }
}

interface Span {
  readonly start: number;
  readonly bytes: number;
}

/** A field's type in our words; what prepared files never have is called `other`. */
function typeOf(field: FlatTable): ColumnType | "other" {
  const type = field.table(3);
  if (type === undefined || field.table(4) !== undefined) return "other";
  switch (field.uint8(2)) {
    case types.int:
      if (type.uint8(1) !== 1) return "other";
      return type.int32(0) === 32 ? "int32" : type.int32(0) === 64 ? "int64" : "other";
    case types.floatingPoint:
      return type.int16(0) === 2 ? "float64" : "other";
    case types.timestamp:
      return type.int16(0) === 1 && type.text(1) === "UTC" ? "timestamp" : "other";
    case types.utf8:
      return "name";
    case types.largeUtf8:
      return "text";
    case types.list: {
      const [values, ...rest] = field.tables(5);
      return values !== undefined && rest.length === 0 && typeOf(values) === "int32"
        ? "bag"
        : "other";
    }
    default:
      return "other";
  }
}

/** Texts that are decoded when they are asked for. */
export class TextColumn {
  constructor(
    /** For messages. */
    readonly where: string,
    readonly rows: number,
    /** One word a row, or two for 64 bits. */
    readonly offsets: Int32Array,
    readonly wide: boolean,
    readonly bytes: Buffer,
    readonly validity: Uint8Array | undefined,
  ) {}

  /** Where row `row` begins in `bytes`, and the row before ends. */
  offset(row: number): number {
    if (!this.wide) return this.offsets[row]!;
    return this.offsets[2 * row + 1]! * 2 ** 32 + (this.offsets[2 * row]! >>> 0);
  }

  isNull(row: number): boolean {
    return this.validity !== undefined && ((this.validity[row >> 3]! >> (row & 7)) & 1) === 0;
  }

  /** @throws DataError when the offsets of the row are not in the file */
  text(row: number): string {
    const start = this.offset(row);
    const end = this.offset(row + 1);
    if (!(start >= 0 && start <= end && end <= this.bytes.length)) {
      throw new DataError(
        `${this.where}, row ${row}: its text goes from ${start} to ${end} of ${this.bytes.length}`,
      );
    }
    return this.bytes.toString("utf8", start, end);
  }
}
