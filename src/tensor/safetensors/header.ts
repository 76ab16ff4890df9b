/**
 * The safetensors layout: 8 bytes of header length, the header (JSON), the tensors back to back. Only what the
 * format knows is accepted, not all that JSON can say, and nothing that a header claims is allocated.
 *
 * @see https://github.com/huggingface/safetensors
 */
import { JsonReader, shown, type Waiting } from "./json-reader.js";

/** Bytes per element of the dtypes that we read. */
export const storedBytes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

/** An element type of a file. */
export type StoredDType = keyof typeof storedBytes;

export interface StoredTensor {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** From the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Longest header, in bytes; the limit of the reference implementation. */
export const maxHeaderBytes = 100_000_000;
const maxTensors = 100_000;
const maxNameBytes = 4096;
const maxShapeLength = 64;

const isStoredDType = (name: string): name is StoredDType => Object.hasOwn(storedBytes, name);

/**
 * Reads a header piece by piece.
 *
 * @param file       for messages
 * @param dataOffset where the tensors begin
 * @param dataBytes  how long they are together
 * @throws CheckpointError
 */
export function* parseHeader(file: string, dataOffset: number, dataBytes: number): Waiting<Header> {
  const json = new JsonReader(file, "header");
  const tensors = new Map<string, StoredTensor>();
  const metadata = new Map<string, string>();
  let hasMetadata = false;

  // The reference implementation, too, takes no white space before the brace.
  if ((yield* json.peek()) !== 0x7b) json.fail("not a valid header, { expected");
  yield* json.object(maxNameBytes, function* (name) {
    json.subject = shown(name);
    if (name === "__metadata__") {
      if (hasMetadata) json.fail("it is there twice");
      hasMetadata = true;
      if (!(yield* json.sees("{"))) json.fail("must be an object of strings");
      yield* json.object(maxNameBytes, function* (key) {
        if (metadata.has(key)) json.fail(`"${shown(key)}" is there twice`);
        if (!(yield* json.sees('"'))) json.fail(`"${shown(key)}" must be a string`);
        metadata.set(key, yield* json.string(maxHeaderBytes));
      });
    } else {
      if (tensors.has(name)) json.fail("the name is there twice");
      if (tensors.size === maxTensors) json.fail(`there are more than ${maxTensors} tensors`);
      tensors.set(name, yield* parseTensor(json, dataOffset, dataBytes));
    }
    json.subject = json.whole;
  });
  yield* json.expectEnd();
  requireNoGaps(json, tensors, dataOffset, dataBytes);
  return { metadata: Object.fromEntries(metadata), tensors };
}

function* parseTensor(
  json: JsonReader,
  dataOffset: number,
  dataBytes: number,
): Waiting<StoredTensor> {
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let range: number[] | undefined;
  if (!(yield* json.sees("{"))) json.fail("must be an object with dtype, shape and data_offsets");
  yield* json.object(maxNameBytes, function* (key) {
    if (key === "dtype" && dtype === undefined) {
      if (!(yield* json.sees('"'))) json.fail("dtype must be a string");
      dtype = yield* json.string(maxNameBytes);
    } else if (key === "shape" && !shape) shape = yield* json.wholeNumbers("shape", maxShapeLength);
    else if (key === "data_offsets" && !range) range = yield* json.wholeNumbers("data_offsets", 2);
    else
      json.fail(
        `"${shown(key)}" is unknown or there twice; a tensor has dtype, shape and data_offsets`,
      );
  });
  if (dtype === undefined || !shape || range?.length !== 2)
    return json.fail("must have dtype, shape and data_offsets [begin, end]");
  if (!isStoredDType(dtype))
    return json.fail(`dtype ${shown(dtype)} is not one of ${Object.keys(storedBytes).join(", ")}`);
  const [begin, end] = range as [number, number];
  if (begin > end || end > dataBytes)
    json.fail(
      `data_offsets [${begin}, ${end}] must be in order and inside the ${dataBytes} bytes of data`,
    );
  const bytes = byteSize(shape, storedBytes[dtype]);
  if (bytes !== end - begin)
    json.fail(
      `data_offsets [${begin}, ${end}] hold ${end - begin} bytes, ` +
        `but ${dtype} [${shape.join(", ")}] takes ${bytes ?? "more than there can be"}`,
    );
  return { dtype, shape, offset: dataOffset + begin, bytes: end - begin };
}

function requireNoGaps(
  json: JsonReader,
  tensors: ReadonlyMap<string, StoredTensor>,
  dataOffset: number,
  dataBytes: number,
): void {
  let end = dataOffset;
  const byPlace = [...tensors].sort(([, a], [, b]) => a.offset - b.offset || a.bytes - b.bytes);
  for (const [name, { offset, bytes }] of byPlace) {
    json.subject = shown(name);
    if (offset !== end)
      json.fail(
        `it begins at ${offset - dataOffset} of the data, where ${end - dataOffset} is next; ` +
          `tensors must ${offset < end ? "not overlap" : "leave no gap"}`,
      );
    end += bytes;
  }
  json.subject = json.whole;
  if (end !== dataOffset + dataBytes)
    json.fail(`its tensors take ${end - dataOffset} bytes, but the file has ${dataBytes}`);
}

/** Bytes of a tensor; `undefined` beyond 2^53 - 1. */
function byteSize(shape: readonly number[], element: number): number | undefined {
  if (shape.includes(0)) return 0;
  let bytes = element;
  for (const size of shape) {
    bytes *= size;
    if (bytes > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return bytes;
}

/**
 * Reads a `model.safetensors.index.json`: which file each tensor is in.
 *
 * @throws CheckpointError
 */
export function* parseIndex(file: string): Waiting<Map<string, string>> {
  const json = new JsonReader(file, "index");
  const map = new Map<string, string>();
  let found = false;
  yield* json.object(maxNameBytes, function* (key) {
    if (key !== "weight_map") return yield* json.skip(maxNameBytes, 8);
    if (found) json.fail("weight_map is there twice");
    found = true;
    if (!(yield* json.sees("{"))) json.fail("weight_map must be an object of file names");
    yield* json.object(maxNameBytes, function* (tensor) {
      json.subject = shown(tensor);
      if (map.has(tensor)) json.fail("the name is there twice");
      if (map.size === maxTensors) json.fail(`there are more than ${maxTensors} tensors`);
      if (!(yield* json.sees('"'))) json.fail("its file must be a string");
      const name = yield* json.string(maxNameBytes);
      if (!/^[^/\\\0]+$/.test(name) || name === "." || name === "..")
        json.fail(`${shown(name)} must be the plain name of a file in the same folder`);
      map.set(tensor, name);
      json.subject = json.whole;
    });
  });
  yield* json.expectEnd();
  if (!found) json.fail("it has no weight_map");
  return map;
}
