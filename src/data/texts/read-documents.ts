import { DataError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import { ByteSource } from "../formats/byte-source.js";
import { openJsonLines } from "../formats/json-lines.js";
import { type DocumentPart, documentParts } from "./document-part.js";

export interface ReadDocumentsOptions extends LongCall {
  /** Of files of JSON lines: the field that holds the text, or a path `a.b`. Default: `text`. */
  field?: string | undefined;
  /** Of other files: what stands between documents, as `<|endoftext|>`. Default: a file is one document. */
  separator?: string | undefined;
}

/** A part of a document of a file. */
export interface ReadPart extends DocumentPart {
  /** Of the document, in all files, from 0. */
  readonly index: number;
}

const isJsonLines = /\.(?:jsonl|ndjson)(?:\.gz)?$/i;

/**
 * Reads documents from files, plain text in UTF-8 or JSON lines, as they are or in gzip. Long documents come in parts.
 *
 * @throws DataError when a file cannot be read, is not UTF-8, or a line lacks the field
 */
export async function* readDocuments(
  files: readonly string[],
  { field = "text", separator, signal, onProgress }: ReadDocumentsOptions = {},
): AsyncGenerator<ReadPart> {
  let index = 0;
  for (const file of files) {
    const parts = isJsonLines.test(file)
      ? jsonLinesParts(file, { field, signal, onProgress })
      : textParts(file, { separator, signal, onProgress });
    for await (const part of parts) {
      yield { ...part, index };
      if (part.last) index++;
    }
  }
}

async function* textParts(
  file: string,
  { separator, ...longCall }: Pick<ReadDocumentsOptions, "separator"> & LongCall,
): AsyncGenerator<DocumentPart> {
  const source = await ByteSource.open(file, { signal: longCall.signal });
  try {
    yield* documentParts(textBlocks(source, longCall), separator);
  } finally {
    await source.close();
  }
}

async function* textBlocks(source: ByteSource, { onProgress }: LongCall): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const decode = (bytes?: Uint8Array): string => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined });
    } catch (cause) {
      throw new DataError(`${source.name}: is not UTF-8`, { cause });
    }
  };
  for (let bytes = await source.next(); bytes !== undefined; bytes = await source.next()) {
    yield decode(bytes);
    onProgress?.(progressOf(source));
  }
  yield decode();
}

async function* jsonLinesParts(
  file: string,
  { field, signal, onProgress }: { field: string } & LongCall,
): AsyncGenerator<DocumentPart> {
  const onError = (error: Error): never => {
    throw error;
  };
  const reader = await openJsonLines(file, { requireColumns: true }, { signal, onError });
  try {
    const column = reader.column(field);
    for await (const rows of reader.rows()) {
      for (const row of rows) {
        const text = row.text(column);
        if (text !== undefined) yield* documentParts([text]);
      }
      onProgress?.(progressOf(reader));
    }
  } finally {
    await reader.close();
  }
}

const progressOf = ({
  name,
  bytes: total,
  bytesRead: done,
}: Pick<ByteSource, "name" | "bytes" | "bytesRead">) =>
  ({ task: `reading ${name}`, done, total, unit: "bytes" }) as const;
