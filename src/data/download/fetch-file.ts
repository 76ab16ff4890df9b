import { createReadStream } from "node:fs";
import { stat, statfs } from "node:fs/promises";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { dirname } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { DataError, NetworkError } from "../../errors.js";
import { fileFault, isSystemError } from "../files/file-fault.js";
import { writeAt } from "../files/write-at.js";
import type { Connection } from "./connection.js";
import { openPartialFile, type PartialFile, type Provenance, restart } from "./partial-file.js";
import { busyFor, Passing, passing, type RetryOptions, repeat } from "./retry.js";

export interface FetchOptions extends RetryOptions {
  readonly connection: Connection;
  /** For messages and progress. */
  readonly name: string;
  /** Sent with every request; `authorization` goes to the first origin only. Default: none. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Bytes of the file, where they are known: more are refused. Default: any number. */
  bytes?: number | undefined;
  /** What it means that the server refuses; undefined where it is as with any server. */
  refusal?: ((response: IncomingMessage) => Error | undefined) | undefined;
}

/**
 * Brings a file to `path`, continuing what is there of it. What fails in passing (the connection, a busy server) is repeated;
 * what has come stays on disk for the next time.
 *
 * @param url `http:`, `https:` or `file:`
 * @throws NetworkError when the server refuses, or the network fails again and again
 */
export async function fetchFile(url: URL, path: string, options: FetchOptions): Promise<void> {
  const partial = await openPartialFile(path, url.href).catch((error) => {
    throw fileFault(error, path, "write");
  });
  try {
    await repeat(
      async () => {
        if (url.protocol === "file:") await copy(url, partial, options);
        else await continueWith(url, partial, options);
        await partial.file.sync();
      },
      { ...options, what: `${options.name}: ${url.origin}`, reached: () => partial.have },
    );
  } catch (error) {
    throw fileFault(error, path, "write");
  } finally {
    await partial.file.close();
  }
}

/** One request for what is missing. */
async function continueWith(url: URL, partial: PartialFile, options: FetchOptions): Promise<void> {
  const validator = validatorOf(partial.provenance);
  if (validator === undefined) partial.have = 0;
  const range =
    partial.have === 0 ? {} : { range: `bytes=${partial.have}-`, "if-range": validator! };
  const headers = { ...options.headers, ...range };
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
  { name, refusal }: FetchOptions,
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
      throw busyFor(url, response) ?? refusal?.(response) ?? refused(url, response, name);
  }
}

const refused = (url: URL, { statusCode }: IncomingMessage, name: string): NetworkError =>
  new NetworkError(`${name}: ${url.origin} answered ${statusCode} for ${url}`);

async function receive(
  url: URL,
  response: IncomingMessage,
  partial: PartialFile,
  options: FetchOptions,
): Promise<void> {
  const { name, bytes = Number.POSITIVE_INFINITY, onProgress } = options;
  const iterator = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  for (;;) {
    const { done, value } = await passing(url, () => iterator.next());
    if (done === true) return;
    if (partial.have + value.length > bytes)
      throw new NetworkError(
        `${name}: ${url.origin} sent more than the ${bytes} bytes of the file`,
      );
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

/**
 * A short text; undefined where the server does not have it.
 *
 * @throws NetworkError as `fetchFile`
 */
export async function fetchText(url: URL, options: FetchOptions): Promise<string | undefined> {
  const { name, signal, connection } = options;
  return repeat(
    async () => {
      const response = await passing(url, () => connection.get(url, {}, signal));
      const content = await passing(url, () => text(response));
      if (response.statusCode === 200) return content;
      if (response.statusCode === 404 || response.statusCode === 410) return undefined;
      throw busyFor(url, response) ?? refused(url, response, name);
    },
    { ...options, what: `${name}: ${url.origin}` },
  );
}
