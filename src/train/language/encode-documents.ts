import { Int32List } from "../../data/collect/lists.js";
import type { DocumentPart } from "../../data/index.js";
import { UsageError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import { Turns } from "../../tokenizers/turns.js";
import type { TextEncoding } from "./encode-examples.js";
import { TokenSequences } from "./token-sequences.js";

/** Documents one after the other. */
export interface EncodedDocuments {
  /** An end token, then the tokens of each document and an end token. */
  readonly tokens: Int32Array;
  readonly documents: number;
  /** Of all texts in UTF-8. */
  readonly bytes: number;
}

/**
 * Encodes texts into one stream, in which an end token stands before, between and after documents.
 *
 * @param documents texts; long ones may come in parts, cut where the tokenizer cuts anyway
 * @throws UsageError when the tokenizer has no end token
 */
export async function encodeDocuments(
  tokenizer: TextEncoding,
  documents: Iterable<string | DocumentPart> | AsyncIterable<string | DocumentPart>,
  { signal, onProgress }: LongCall = {},
): Promise<EncodedDocuments> {
  const { eos } = tokenizer.specials;
  if (eos === undefined)
    throw new UsageError(
      "encodeDocuments: the tokenizer has no end token to put between documents",
    );
  const tokens = new Int32List();
  tokens.push(eos);
  let [count, bytes] = [0, 0];
  const turns = new Turns(signal);
  for await (const document of documents) {
    const { text, last } = typeof document === "string" ? { text: document, last: true } : document;
    tokens.pushAll(tokenizer.encode(text, { specialTokens: false }));
    bytes += Buffer.byteLength(text);
    if (last) {
      tokens.push(eos);
      count++;
    }
    if (!turns.over) continue;
    onProgress?.({ task: "encoding documents", done: bytes, unit: "bytes" });
    await turns.next();
  }
  return { tokens: tokens.toArray(), documents: count, bytes };
}

/**
 * A stream of tokens as windows of `length` inputs, all of whose targets count. Every token but the first is the target
 * of one window; the last window may be shorter.
 */
export function textWindows(tokens: Int32Array, length: number): TokenSequences {
  if (!(Number.isSafeInteger(length) && length >= 1))
    throw new UsageError(`textWindows: length must be a whole number from 1, got ${length}`);
  const count = Math.ceil(Math.max(0, tokens.length - 1) / length);
  const starts = Float64Array.from({ length: count }, (_, i) => i * length);
  return new TokenSequences(tokens, {
    starts,
    ends: starts.map((start) => Math.min(start + length + 1, tokens.length)),
    contexts: new Int32Array(count).fill(1),
  });
}
