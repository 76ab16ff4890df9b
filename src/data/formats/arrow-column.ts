/** Columns of an Arrow record batch, read from their buffers. What is read is declared, not imported: any version's do. */
import { DataError } from "../../errors.js";
import type { Dictionary } from "../dictionary.js";
import { missingIndex } from "../feature.js";
import type { ValueColumn } from "./value-row.js";

/** What is used of apache-arrow's `DataType`; numbers are those of the Arrow format. */
export interface ArrowType {
  readonly typeId: number;
  readonly bitWidth?: number;
  readonly isSigned?: boolean;
  readonly precision?: number;
  readonly unit?: number;
  readonly listSize?: number;
  readonly children?: readonly { readonly type: ArrowType }[] | null;
  /** Of a dictionary: the types of its values and of their codes. */
  readonly dictionary?: ArrowType;
  readonly indices?: ArrowType;
}

type Numbers = { readonly [index: number]: number | bigint } & ArrayBufferView & {
    readonly length: number;
  };

/** What is used of apache-arrow's `Data`: one column of one batch. */
export interface ArrowChunk {
  readonly type: ArrowType;
  readonly length: number;
  /** Where the column starts in the bits of `nullBitmap`, and of `values` if those are bits. */
  readonly offset: number;
  readonly nullCount: number;
  readonly nullBitmap?: Uint8Array;
  readonly values?: Numbers;
  readonly valueOffsets?: Numbers;
  readonly variadicBuffers?: readonly Uint8Array[];
  readonly children: readonly ArrowChunk[];
  readonly dictionary?: { readonly data: readonly ArrowChunk[] };
}

/** The `Type` of Arrow's metadata. */
const types = {
  null: 1,
  int: 2,
  float: 3,
  utf8: 5,
  bool: 6,
  date: 8,
  timestamp: 10,
  list: 12,
  fixedSizeList: 16,
  largeUtf8: 20,
  largeList: 21,
  utf8View: 24,
  dictionary: -1,
} as const;

const readable: ReadonlySet<number> = new Set(Object.values(types));
const lists: ReadonlySet<number> = new Set([types.list, types.fixedSizeList, types.largeList]);

/** Whether columns of this type can be read: texts, numbers, moments, and lists and dictionaries of those. */
export function canRead(type: ArrowType): boolean {
  if (type.typeId === types.dictionary)
    return type.dictionary !== undefined && canRead(type.dictionary);
  if (!lists.has(type.typeId)) return readable.has(type.typeId);
  const inner = type.children?.[0]?.type;
  return inner !== undefined && !lists.has(inner.typeId) && canRead(inner);
}

/**
 * Reads one column of a batch.
 *
 * @throws DataError when its buffers are shorter than it says
 */
export function arrowColumn(name: string, chunk: ArrowChunk): ValueColumn {
  const column = validColumn(name, chunk);
  const { nullBitmap, nullCount, offset, length } = chunk;
  if (nullBitmap === undefined || nullBitmap.length === 0 || nullCount === 0) return column;
  need(name, 8 * nullBitmap.length, offset + length);
  const isNull = (row: number) =>
    (nullBitmap[(offset + row) >> 3]! & (1 << ((offset + row) & 7))) === 0;
  const { index } = column;
  return {
    ...column,
    get: (row) => (isNull(row) ? undefined : column.get(row)),
    ...(index && { index: (row, into) => (isNull(row) ? missingIndex : index(row, into)) }),
  };
}

/** The column as if it had no nulls. */
function validColumn(name: string, chunk: ArrowChunk): ValueColumn {
  const { typeId, unit = 0, bitWidth, isSigned, precision } = chunk.type;
  switch (typeId) {
    case types.null:
      return { name, get: () => undefined };
    case types.int:
      return {
        name,
        get: bitWidth === 64 ? wholesOf(name, chunk, isSigned) : numbersOf(name, chunk),
      };
    case types.float: {
      const get = numbersOf(name, chunk);
      return { name, get: precision === 0 ? (row) => halfOf(Number(get(row))) : get };
    }
    case types.bool:
      return { name, get: bitsOf(name, chunk) };
    case types.utf8:
    case types.largeUtf8:
      return textColumn(name, chunk);
    case types.utf8View:
      return viewColumn(name, chunk);
    case types.date:
      return {
        name,
        moments: true,
        get: unit === 0 ? daysOf(name, chunk) : momentsOf(name, chunk, 1),
      };
    case types.timestamp:
      return { name, moments: true, get: momentsOf(name, chunk, unit) };
    case types.list:
    case types.largeList:
    case types.fixedSizeList:
      return listColumn(name, chunk);
    case types.dictionary:
      return dictionaryColumn(name, chunk);
    default:
      throw new DataError(`column "${name}" has a type that is not read`);
  }
}

function numbersOf(name: string, chunk: ArrowChunk): (row: number) => number | bigint {
  const values = valuesOf(name, chunk);
  need(name, values.length, chunk.length);
  return (row) => values[row]!;
}

/** 64-bit integers: as numbers where they are exact, else as bigints. */
function wholesOf(
  name: string,
  chunk: ArrowChunk,
  isSigned: boolean | undefined,
): (row: number) => number | bigint {
  const { buffer, byteOffset, byteLength } = valuesOf(name, chunk);
  need(name, byteLength / 8, chunk.length);
  // Pairs, because some versions give pairs, and because a bigint for each number takes its time.
  const halves = new Int32Array(buffer, byteOffset, Math.floor(byteLength / 4));
  return (row) => {
    const low = halves[2 * row]! >>> 0;
    const high = isSigned === false ? halves[2 * row + 1]! >>> 0 : halves[2 * row + 1]!;
    const whole = high * 2 ** 32 + low;
    return Number.isSafeInteger(whole) ? whole : (BigInt(high) << 32n) | BigInt(low);
  };
}

function bitsOf(name: string, chunk: ArrowChunk): (row: number) => boolean {
  const { buffer, byteOffset, byteLength } = valuesOf(name, chunk);
  const { offset, length } = chunk;
  need(name, 8 * byteLength, offset + length);
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  return (row) => (bytes[(offset + row) >> 3]! & (1 << ((offset + row) & 7))) !== 0;
}

function daysOf(name: string, chunk: ArrowChunk): (row: number) => number {
  const days = numbersOf(name, chunk);
  return (row) => Number(days(row)) * 86_400_000;
}

/** Milliseconds of moments in seconds (0), milliseconds (1), microseconds (2) or nanoseconds (3), rounded down. */
function momentsOf(name: string, chunk: ArrowChunk, unit: number): (row: number) => number {
  const wholes = wholesOf(name, chunk, true);
  if (unit === 0) return (row) => Number(wholes(row)) * 1000;
  if (unit === 1) return (row) => Number(wholes(row));
  const divisor = unit === 2 ? 1000 : 1_000_000;
  return (row) => {
    const whole = wholes(row);
    if (typeof whole === "number") return Math.floor(whole / divisor);
    const big = BigInt(divisor);
    return Number((whole - (((whole % big) + big) % big)) / big);
  };
}

/** Where variable-length values start and end. */
function rangesOf(name: string, chunk: ArrowChunk, limit: number): (row: number) => number {
  const offsets = chunk.valueOffsets;
  if (offsets === undefined) throw damaged(name, 0, chunk.length + 1);
  need(name, offsets.length, chunk.length === 0 ? 0 : chunk.length + 1);
  let before = 0;
  for (let i = 0; i <= chunk.length && i < offsets.length; i++) {
    const end = Number(offsets[i]);
    if (end < before || end > limit) {
      throw new DataError(
        `column "${name}" is damaged: its offset ${i} is ${end}, expected ${before} to ${limit}`,
      );
    }
    before = end;
  }
  return (row) => Number(offsets[row]);
}

function textColumn(name: string, chunk: ArrowChunk): ValueColumn {
  const bytes = bytesOf(chunk);
  const start = rangesOf(name, chunk, bytes.length);
  return {
    name,
    get: (row) => bytes.toString("utf8", start(row), start(row + 1)),
    index: (row, into) => indexOf(bytes, start(row), start(row + 1), into),
  };
}

const viewBytes = 16;
const inlineBytes = 12;

/** Texts of up to 12 bytes stand in the view itself; longer ones in the buffer that it names. */
function viewColumn(name: string, chunk: ArrowChunk): ValueColumn {
  const views = bytesOf(chunk);
  need(name, views.length / viewBytes, chunk.length);
  const buffers = (chunk.variadicBuffers ?? []).map(bufferOver);
  const find = <T>(row: number, use: (bytes: Buffer, start: number, end: number) => T): T => {
    const view = row * viewBytes;
    const length = views.readInt32LE(view);
    if (length <= inlineBytes) return use(views, view + 4, view + 4 + Math.max(length, 0));
    const buffer = buffers[views.readInt32LE(view + 8)];
    const start = views.readInt32LE(view + 12);
    if (buffer === undefined || start < 0 || start + length > buffer.length) {
      throw new DataError(`column "${name}" is damaged: a text points outside its buffers`);
    }
    return use(buffer, start, start + length);
  };
  return {
    name,
    get: (row) => find(row, (bytes, start, end) => bytes.toString("utf8", start, end)),
    index: (row, into) => find(row, (bytes, start, end) => indexOf(bytes, start, end, into)),
  };
}

function indexOf(bytes: Buffer, start: number, end: number, into: Dictionary): number {
  return start === end ? missingIndex : into.indexOfBytes(bytes, start, end);
}

function listColumn(name: string, chunk: ArrowChunk): ValueColumn {
  const child = chunk.children[0];
  if (child === undefined) throw damaged(name, 0, 1);
  const inner = arrowColumn(name, child);
  const { listSize } = chunk.type;
  if (listSize !== undefined) need(name, child.length, listSize * chunk.length);
  const start =
    listSize === undefined ? rangesOf(name, chunk, child.length) : (row: number) => row * listSize;
  return {
    name,
    get: (row) => {
      const values: unknown[] = [];
      for (let i = start(row), end = start(row + 1); i < end; i++) values.push(inner.get(i));
      return values;
    },
  };
}

/** Codes, and the values they stand for: in one chunk, or in several where batches brought more of them. */
function dictionaryColumn(name: string, chunk: ArrowChunk): ValueColumn {
  const wide = chunk.type.indices?.bitWidth === 64;
  const codes = wide ? wholesOf(name, chunk, true) : numbersOf(name, chunk);
  const chunks = chunk.dictionary?.data ?? [];
  const columns = chunks.map((values) => arrowColumn(name, values));
  const texts: unknown[] = [];
  const find = <T>(row: number, use: (column: ValueColumn, row: number) => T): T => {
    let code = Number(codes(row));
    for (const [i, { length }] of chunks.entries()) {
      if (code >= 0 && code < length) return use(columns[i]!, code);
      code -= length;
    }
    throw new DataError(`column "${name}" is damaged: code ${codes(row)} is not in its dictionary`);
  };
  const byText: ValueColumn["index"] = (row, into) =>
    find(row, (column, code) => column.index!(code, into));
  return {
    name,
    moments: columns[0]?.moments,
    get: (row) => {
      const code = Number(codes(row));
      texts[code] ??= find(row, (column, place) => column.get(place));
      return texts[code];
    },
    ...(columns.every(({ index }) => index !== undefined) && { index: byText }),
  };
}

/** The number whose 16 bits these are. */
function halfOf(bits: number): number {
  const sign = bits >> 15 === 0 ? 1 : -1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function valuesOf(name: string, chunk: ArrowChunk): Numbers {
  if (chunk.values === undefined) throw damaged(name, 0, chunk.length);
  return chunk.values;
}

function bytesOf(chunk: ArrowChunk): Buffer {
  return chunk.values === undefined ? Buffer.alloc(0) : bufferOver(chunk.values);
}

function bufferOver({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer {
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
}

function need(name: string, has: number, needs: number): void {
  if (has < needs) throw damaged(name, Math.floor(has), needs);
}

function damaged(name: string, has: number, needs: number): DataError {
  return new DataError(`column "${name}" is damaged: it has ${has} values, expected ${needs}`);
}
