import { createReadStream } from "node:fs";
import { stat, statfs } from "node:fs/promises";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { dirname } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { DataError, NetworkError, UserLlmError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import { fileFault, isSystemError } from "../files/file-fault.js";
import { writeAt } from "../files/write-at.js";
import type { Connection } from "./connection.js";
import { openPartialFile, type PartialFile, type Provenance, restart } from "./partial-file.js";

export interface FetchOptions extends LongCall {
  readonly connection: Connection;
  /** For messages and progress. */
  readonly name: string;
  /** Failures in a row, without a byte in between, after which it gives up. Default: 5. */
  retries?: number | undefined;
  /** Before the first repetition; it doubles for each. Default: 1000. */
  retryDelayMs?: number | undefined;
}

const longestDelayMs = 60_000;

/** Fails now, and may work later. */
class Passing extends Error {
  constructor(
    message: string,
    readonly waitMs = 0,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Brings a file to `path`, continuing what is there of it. What fails in passing (the connection, a busy server) is repeated;
 * what has come stays on disk for the next time.
 *
 * @param url `http:`, `https:` or `file:`
 * @throws NetworkError when the server refuses, or the network fails again and again
 */
export async function fetchFile(url: URL, path: string, options: FetchOptions): Promise<void> {
  const { name, retries = 5, retryDelayMs = 1000, signal } = options;
  const partial = await openPartialFile(path, url.href).catch((error) => {
    throw fileFault(error, path, "write");
  });
  try {
    for (let failures = 0; ; ) {
      signal?.throwIfAborted();
      const before = partial.have;
      try {
        if (url.protocol === "file:") await copy(url, partial, options);
        else await continueWith(url, partial, options);
        return await partial.file.sync();
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof Passing)) throw fileFault(error, path, "write");
        failures = partial.have > before ? 1 : failures + 1;
        if (failures > retries) {
          const message = `${name}: ${url.origin} failed ${failures} times: ${error.message}`;
          throw new NetworkError(message, { cause: error });
        }
        const delay = Math.max(error.waitMs, retryDelayMs * 2 ** (failures - 1));
        await pause(Math.min(delay, longestDelayMs), signal);
      }
    }
  } finally {
    await partial.file.close();
  }
}

/** Rejects with the reason of the signal, where Node's own rejects with an error of its own. */
async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await setTimeout(ms, undefined, signal && { signal }).catch(() => signal?.throwIfAborted());
}

/** One request for what is missing. */
async function continueWith(url: URL, partial: PartialFile, options: FetchOptions): Promise<void> {
  const validator = validatorOf(partial.provenance);
  if (validator === undefined) partial.have = 0;
  const headers =
    partial.have === 0 ? {} : { range: `bytes=${partial.have}-`, "if-range": validator! };
  const response = await passing(url, () => options.connection.get(url, headers, options.signal));
  try {
    if (!(await prepare(url, response, partial, options))) return;
    const { bytes } = partial.provenance!;
    await checkSpace(partial, bytes);
    await receive(url, response, partial, options);
    if (bytes !== undefined && partial.have !== bytes) {
      throw new Passing(`it ended after ${partial.have} of ${bytes} bytes`);
    }
  } finally {
    response.destroy();
  }
}

/** Makes the file fit what comes. False if nothing is to come. */
async function prepare(
  url: URL,
  response: IncomingMessage,
  partial: PartialFile,
  { name }: FetchOptions,
): Promise<boolean> {
  const { statusCode, headers } = response;
  const remote = provenanceOf(url, headers);
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(String(headers["content-range"] ?? ""));
  switch (statusCode) {
    case 200:
      await restart(partial, remote);
      return true;
    case 206: {
      const known = partial.provenance?.bytes;
      const total = Number(range?.[2]);
      const fits = Number(range?.[1]) === partial.have && (known === undefined || known === total);
      if (fits && sameState(partial.provenance, remote)) return true;
      await restart(partial, undefined);
      throw new Passing("it sent another part than was asked for");
    }
    case 416:
      if (partial.have > 0 && Number(range?.[2]) === partial.have) return false;
      await restart(partial, undefined);
      throw new Passing("it has become shorter");
    default:
      throw refusal(url, response, name);
  }
}

/** A server that is busy may have time later. */
function refusal(url: URL, { statusCode = 0, headers }: IncomingMessage, name: string): Error {
  const message = `answered ${statusCode} for ${url}`;
  const busy = statusCode === 408 || statusCode === 429 || statusCode >= 500;
  if (busy) return new Passing(`it ${message}`, retryAfterMs(headers["retry-after"]));
  return new NetworkError(`${name}: ${url.origin} ${message}`);
}

async function receive(
  url: URL,
  response: IncomingMessage,
  partial: PartialFile,
  options: FetchOptions,
): Promise<void> {
  const { name, onProgress } = options;
  const iterator = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  for (;;) {
    const { done, value } = await passing(url, () => iterator.next());
    if (done === true) return;
    await writeAt(partial.file, value, partial.have);
    partial.have += value.length;
    const total = partial.provenance?.bytes;
    onProgress?.({ task: `downloading ${name}`, done: partial.have, total, unit: "bytes" });
  }
}

/** From a mirror in the file system. */
async function copy(url: URL, partial: PartialFile, options: FetchOptions): Promise<void> {
  const { name, onProgress, signal } = options;
  const source = fileURLToPath(url);
  try {
    const { size } = await stat(source);
    await restart(partial, { url: url.href, bytes: size });
    await checkSpace(partial, size);
    for await (const chunk of createReadStream(source, { highWaterMark: 1 << 20 })) {
      signal?.throwIfAborted();
      await writeAt(partial.file, chunk as Buffer, partial.have);
      partial.have += (chunk as Buffer).length;
      onProgress?.({ task: `copying ${name}`, done: partial.have, total: size, unit: "bytes" });
    }
  } catch (error) {
    throw isSystemError(error, "ENOENT") ? fileFault(error, source, "read") : error;
  }
}

/** Better now than after an hour. */
async function checkSpace({ path, have }: PartialFile, bytes: number | undefined): Promise<void> {
  if (bytes === undefined) return;
  const { bavail, bsize } = await statfs(dirname(path));
  if (bytes - have <= bavail * bsize) return;
  throw new DataError(
    `${path}: needs ${bytes - have} more bytes, and the disk has ${bavail * bsize} left`,
  );
}

/** What the network throws is worth repeating, but for what we throw ourselves and certificates. */
async function passing<T>(url: URL, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    if (error instanceof UserLlmError) throw error;
    if (/CERT|^ERR_TLS|^ERR_INVALID|^UND_ERR_INVALID/.test(code)) {
      throw new NetworkError(`${url.origin}: ${message}`, { cause: error });
    }
    throw new Passing(message || code, 0, { cause: error });
  }
}

function provenanceOf(url: URL, headers: IncomingHttpHeaders): Provenance {
  const length = Number(headers["content-length"] ?? Number.NaN);
  return {
    url: url.href,
    etag: headers.etag,
    lastModified: headers["last-modified"],
    bytes: Number.isSafeInteger(length) ? length : undefined,
  };
}

/** What `If-Range` takes; a weak tag does not promise the same bytes. */
function validatorOf(provenance: Provenance | undefined): string | undefined {
  const { etag, lastModified } = provenance ?? {};
  return etag?.startsWith('"') ? etag : lastModified;
}

function sameState(ours: Provenance | undefined, theirs: Provenance): boolean {
  return theirs.etag === undefined || ours?.etag === undefined || ours.etag === theirs.etag;
}

function retryAfterMs(value = ""): number {
  const seconds = Number(value);
  if (value !== "" && Number.isFinite(seconds)) return 1000 * seconds;
  const until = Date.parse(value) - Date.now();
  return Number.isFinite(until) ? Math.max(until, 0) : 0;
}

/**
 * A short text; undefined where the server does not have it.
 *
 * @throws NetworkError as `fetchFile`
 */
export async function fetchText(url: URL, options: FetchOptions): Promise<string | undefined> {
  const { name, retries = 5, retryDelayMs = 1000, signal, connection } = options;
  for (let failures = 1; ; failures++) {
    try {
      const response = await passing(url, () => connection.get(url, {}, signal));
      const content = await passing(url, () => text(response));
      if (response.statusCode === 200) return content;
      if (response.statusCode === 404 || response.statusCode === 410) return undefined;
      throw refusal(url, response, name);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof Passing) || failures > retries) throw error;
      await pause(retryDelayMs * 2 ** (failures - 1), signal);
    }
  }
}
