import {
  type DataType,
  Field,
  Float64,
  Int32,
  Int64,
  LargeUtf8,
  List,
  MetadataVersion,
  Schema,
  TimestampMillisecond,
  Utf8,
} from "apache-arrow";
import { FileBlock, Footer } from "apache-arrow/ipc/metadata/file";
import { BufferRegion, FieldNode, Message, RecordBatch } from "apache-arrow/ipc/metadata/message";
import { DataError } from "../../errors.js";

/** A column of a file to be written. */
export type ArrowColumn =
  | {
      readonly name: string;
      /** `timestamp`: int64 milliseconds since 1970, UTC. */
      readonly type: "int32" | "int64" | "float64" | "timestamp";
    }
  | {
      readonly name: string;
      readonly type: "utf8" | "largeUtf8";
      /** Of all values. */
      readonly bytes: number;
      /** Rows without a value; makes the column nullable. */
      readonly nulls?: number;
    }
  | {
      readonly name: string;
      readonly type: "int32List";
      /** Of all lists; four for each of their values. */
      readonly bytes: number;
    };

/** A stretch of the file. */
export interface Region {
  readonly start: number;
  readonly bytes: number;
}

/** Where the buffers of a column go; absent ones it does not have. */
export interface ColumnRegions {
  readonly validity: Region;
  readonly offsets?: Region;
  readonly values: Region;
}

export interface ArrowLayout {
  /** From the start of the file to its first buffer. */
  readonly head: Uint8Array;
  readonly columns: readonly ColumnRegions[];
  /** From the last buffer to the end of the file. */
  readonly foot: Uint8Array;
  readonly footStart: number;
}

/** Buffers start at multiples of this, in the file and so in memory when it is mapped. */
const alignment = 64; // bytes
const magic = Buffer.from("ARROW1");
const endOfStream = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0);
const mostInt32 = 2 ** 31 - 1;

/**
 * Places everything in an Arrow IPC file of one record batch. As the lengths of all buffers are known, nothing of the data
 * is needed for it.
 *
 * @throws DataError when a column is too large for its offsets
 * @see https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format
 */
export function arrowLayout(columns: readonly ArrowColumn[], rows: number): ArrowLayout {
  const body = new Body(rows);
  const placed = columns.map((column) => body.add(column));
  const schema = new Schema(columns.map(fieldOf));
  const batch = new RecordBatch(rows, body.nodes, body.buffers, null);

  const start = Buffer.concat([magic, Buffer.alloc(2), message(Message.from(schema), 8)]);
  const metadata = message(Message.from(batch, body.bytes), alignment, start.length);
  const head = Buffer.concat([start, metadata]);
  const block = new FileBlock(metadata.length, body.bytes, start.length);
  const footer = Footer.encode(new Footer(schema, MetadataVersion.V5, [block], []));
  const footerBytes = Buffer.alloc(4);
  footerBytes.writeInt32LE(footer.length);

  const shifted = (region: Region) => ({ ...region, start: head.length + region.start });
  return {
    head,
    columns: placed.map(({ validity, offsets, values }) => ({
      validity: shifted(validity),
      ...(offsets && { offsets: shifted(offsets) }),
      values: shifted(values),
    })),
    foot: Buffer.concat([endOfStream, footer, footerBytes, magic]),
    footStart: head.length + body.bytes,
  };
}

/** The buffers of the record batch, in the order that the format wants, from the start of the body. */
class Body {
  bytes = 0;
  readonly nodes: FieldNode[] = [];
  readonly buffers: BufferRegion[] = [];

  constructor(readonly rows: number) {}

  add(column: ArrowColumn): ColumnRegions {
    const { rows } = this;
    const nulls = "nulls" in column ? column.nulls : 0;
    this.nodes.push(new FieldNode(rows, nulls));
    const validity = this.#place(nulls > 0 ? Math.ceil(rows / 8) : 0);
    switch (column.type) {
      case "int32":
        return { validity, values: this.#place(4 * rows) };
      case "int64":
      case "float64":
      case "timestamp":
        return { validity, values: this.#place(8 * rows) };
      case "largeUtf8": {
        const offsets = this.#place(8 * (rows + 1));
        return { validity, offsets, values: this.#place(column.bytes) };
      }
      case "utf8": {
        if (column.bytes > mostInt32) throw tooLong(column.name, "bytes of text", column.bytes);
        const offsets = this.#place(4 * (rows + 1));
        return { validity, offsets, values: this.#place(column.bytes) };
      }
      case "int32List": {
        const length = column.bytes / 4;
        if (length > mostInt32) throw tooLong(column.name, "values in lists", length);
        const offsets = this.#place(4 * (rows + 1));
        this.nodes.push(new FieldNode(length, 0));
        this.#place(0);
        return { validity, offsets, values: this.#place(column.bytes) };
      }
    }
  }

  #place(bytes: number): Region {
    const region = { start: this.bytes, bytes };
    this.buffers.push(new BufferRegion(region.start, bytes));
    this.bytes = roundUp(this.bytes + bytes, alignment);
    return region;
  }
}

function fieldOf(column: ArrowColumn): Field {
  return new Field(column.name, typeOf(column), "nulls" in column && column.nulls !== undefined);
}

function typeOf({ type }: ArrowColumn): DataType {
  switch (type) {
    case "int32":
      return new Int32();
    case "int64":
      return new Int64();
    case "float64":
      return new Float64();
    case "timestamp":
      return new TimestampMillisecond("UTC");
    case "utf8":
      return new Utf8();
    case "largeUtf8":
      return new LargeUtf8();
    case "int32List":
      return new List(new Field("item", new Int32(), false));
  }
}

/** A message without its body, padded so that what follows is aligned. */
function message(content: Message, multiple: number, position = 0): Buffer {
  const metadata = Message.encode(content);
  const bytes = roundUp(position + 8 + metadata.length, multiple) - position;
  const framed = Buffer.alloc(bytes);
  framed.writeInt32LE(-1);
  framed.writeInt32LE(bytes - 8, 4);
  framed.set(metadata, 8);
  return framed;
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

function tooLong(column: string, what: string, length: number): DataError {
  return new DataError(`column "${column}": at most ${mostInt32} ${what} fit, got ${length}`);
}
