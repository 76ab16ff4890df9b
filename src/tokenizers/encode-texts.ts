import { DataError, UsageError } from "../errors.js";
import type { LongCall, ProgressListener } from "../progress.js";
import { TextHash } from "./token-cache/text-hash.js";
import { TokenCache } from "./token-cache/token-cache.js";
import type { TokenizedTexts } from "./tokenized-texts.js";
import type { EncodeOptions, Tokenizer } from "./tokenizer.js";
import { Turns } from "./turns.js";

/** Texts in an order. */
export type Texts = Iterable<string> | AsyncIterable<string>;

export interface EncodeTextsOptions extends EncodeOptions, LongCall {
  tokenizer: Tokenizer;
  /** Folder for the ids of these and other texts; made where it is not there. */
  cache: string;
}

/**
 * The ids of many texts, kept in a folder: the next call with the same texts, tokenizer and options takes them from there.
 * An entry is an Arrow file with a checksum; one that is damaged is made anew. Texts are read twice, to see whether their
 * ids are there and to encode them.
 *
 * @param texts a list, or a function that begins to read them anew
 * @throws UsageError when the texts can be read only once
 * @throws DataError when the texts were others the second time, there are more than 2^31 - 1 tokens, or the disk fails
 */
export async function encodeTexts(
  texts: Texts | (() => Texts),
  options: EncodeTextsOptions,
): Promise<TokenizedTexts> {
  const { tokenizer, cache, specialTokens = true, signal, onProgress } = options;
  const begin = repeatable(texts);
  const fingerprint = `${await tokenizer.fingerprint({ signal })} ${specialTokens}`;
  const first = new TextHash(fingerprint);
  for await (const text of paced(begin(), "reading texts", signal, onProgress)) first.add(text);
  const { key, count } = first.finish();

  const entries = new TokenCache(cache, signal);
  const found = await entries.open(key);
  if (found !== undefined) return found;

  const second = new TextHash(fingerprint);
  const encode = async function* (): AsyncGenerator<Int32Array> {
    for await (const text of paced(begin(), "encoding texts", signal, onProgress, count)) {
      second.add(text);
      yield tokenizer.encode(text, { specialTokens });
    }
    if (second.finish().key !== key) {
      throw new DataError(
        "encodeTexts: the texts were others when they were read again; give a list, or a function that begins anew",
      );
    }
  };
  await entries.write(key, encode());
  const made = await entries.open(key);
  if (made !== undefined) return made;
  throw new DataError(`${cache}: what was written to it did not come back`);
}

function repeatable(texts: Texts | (() => Texts)): () => Texts {
  if (typeof texts === "function") return texts;
  if (typeof texts === "string") {
    throw new UsageError("encodeTexts: expected several texts, got one");
  }
  const iterator =
    Symbol.asyncIterator in texts ? texts[Symbol.asyncIterator]() : texts[Symbol.iterator]();
  if ((iterator as unknown) !== texts) return () => texts;
  throw new UsageError(
    "encodeTexts: the texts can be read only once; give a list, or a function that begins anew",
  );
}

/** The texts, with turns for everything else in between. */
async function* paced(
  texts: Texts,
  task: string,
  signal: AbortSignal | undefined,
  onProgress: ProgressListener | undefined,
  total?: number,
): AsyncGenerator<string> {
  const turns = new Turns(signal);
  let done = 0;
  for await (const text of texts) {
    if (typeof text !== "string") {
      throw new UsageError(`encodeTexts: text ${done} is no text but ${typeof text}`);
    }
    yield text;
    done++;
    if (!turns.over) continue;
    onProgress?.({ task, done, unit: "rows", ...(total === undefined ? {} : { total }) });
    await turns.next();
  }
  onProgress?.({ task, done, unit: "rows", total: done });
}
