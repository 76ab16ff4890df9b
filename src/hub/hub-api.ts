import type { IncomingMessage } from "node:http";
import type { ListFileEntry } from "@huggingface/hub";
import type { Connection } from "../data/download/connection.js";
import { busyFor, passing, type RetryOptions, repeat } from "../data/download/retry.js";
import { NetworkError, UserLlmError } from "../errors.js";
import { isCommit, type ModelId } from "./model-id.js";
import type { HubSettings } from "./settings.js";

export interface HubAccess extends RetryOptions {
  readonly connection: Connection;
  readonly settings: HubSettings;
}

/** What the hub has of a model at a revision. */
export interface HubModel {
  readonly commit: string;
  /** The files in its top folder, by name. */
  readonly files: ReadonlyMap<string, ListFileEntry>;
}

/** A file of a model. */
export interface HubFile {
  readonly name: string;
  readonly bytes: number;
  /** Of its contents; what the cache knows it by. */
  readonly hash: string;
  /** `git` is the SHA-1 that git gives to contents; large files have a SHA-256. */
  readonly algorithm: "git" | "sha256";
}

/** Of a list of files; no model that is for this engine has more. */
const maxAnswerBytes = 1 << 26;
const maxAnswers = 100;

/**
 * Asks the hub for a model.
 *
 * @throws NetworkError when there is none, it may not be had, or the network fails
 */
export async function lookUp(id: ModelId, access: HubAccess): Promise<HubModel> {
  const { listFiles, modelInfo } = await import("@huggingface/hub");
  const { endpoint } = access.settings;
  const hub = { hubUrl: addressOf(endpoint), fetch: fetchFor(id, access) };
  try {
    const { sha } = await modelInfo({
      ...{ ...hub, name: id.name, revision: id.revision },
      additionalFields: ["sha"],
    });
    if (!isCommit(String(sha))) throw new TypeError("it names no commit");
    const files = new Map<string, ListFileEntry>();
    const repo = { type: "model", name: id.name } as const;
    for await (const entry of listFiles({ ...hub, repo, revision: sha }))
      if (entry.type === "file") files.set(entry.path, entry);
    return { commit: sha, files };
  } catch (error) {
    access.signal?.throwIfAborted();
    if (error instanceof UserLlmError) throw error;
    const { message } = error as Error;
    throw new NetworkError(
      `${id.name}: ${endpoint.origin} does not answer as the hub does: ${message}`,
      { cause: error },
    );
  }
}

/** @throws NetworkError when what the hub says of the file cannot be true */
export function describe(id: ModelId, { path: name, size, oid, lfs }: ListFileEntry): HubFile {
  const hash = lfs?.oid ?? oid;
  const bytes = lfs?.size ?? size;
  const pattern = lfs === undefined ? /^[0-9a-f]{40}$/ : /^[0-9a-f]{64}$/;
  // The hash becomes the name of a file.
  if (typeof hash !== "string" || !pattern.test(hash) || !Number.isSafeInteger(bytes) || bytes < 0)
    throw new NetworkError(`${id.name}: the hub gives no proper hash and size for ${name}`);
  return { name, bytes, hash, algorithm: lfs === undefined ? "git" : "sha256" };
}

/** Where a file of a model is downloaded from. */
export function fileUrl(id: ModelId, commit: string, name: string, endpoint: URL): URL {
  const path = `${id.name}/resolve/${commit}/${encodeURIComponent(name)}`;
  return new URL(`${addressOf(endpoint)}/${path}`);
}

/** For requests to the hub itself: what is redirected elsewhere goes without. */
export function authorization({ token }: HubSettings): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

/** What it means that the hub refuses; undefined where it is as with any server. */
export function refusalOf(
  id: ModelId,
  { endpoint, token }: HubSettings,
): (response: IncomingMessage) => NetworkError | undefined {
  const { name, revision } = id;
  const page = `${addressOf(endpoint)}/${name}`;
  const means =
    token === undefined
      ? "no token is set (HF_TOKEN)"
      : "the token (HF_TOKEN) does not give access to it";
  return ({ statusCode, headers }) => {
    switch (headers["x-error-code"]) {
      case "GatedRepo":
        return new NetworkError(`${name} is gated: accept its terms at ${page}; ${means}`);
      case "RevisionNotFound":
        return new NetworkError(`${name} has no revision "${revision}"`);
      case "EntryNotFound":
        return undefined;
    }
    if (statusCode === 401 || statusCode === 404)
      return new NetworkError(`${page}: there is no such model, or it is private: ${means}`);
    return undefined;
  };
}

const addressOf = (endpoint: URL): string => endpoint.href.replace(/\/+$/, "");

/** `fetch` for the hub's library: through proxies, repeated, and with the token for the hub alone. */
function fetchFor(id: ModelId, access: HubAccess): typeof fetch {
  const { connection, settings, signal } = access;
  const refusal = refusalOf(id, settings);
  let answers = 0;
  return async (input) => {
    const url = new URL(String(input));
    if (++answers > maxAnswers) throw new NetworkError(`${id.name}: the list of files has no end`);
    const isHub = url.origin === settings.endpoint.origin;
    const headers = { accept: "application/json", ...(isHub ? authorization(settings) : {}) };
    return repeat(
      async () => {
        const response = await passing(url, () => connection.get(url, headers, signal));
        const { statusCode = 0 } = response;
        if (statusCode === 200) {
          const { link } = response.headers;
          const text = await passing(url, () => boundedText(response));
          return new Response(text, { headers: link === undefined ? {} : { link: String(link) } });
        }
        response.destroy();
        throw (
          busyFor(url, response) ??
          refusal(response) ??
          new NetworkError(`${id.name}: ${url.origin} answered ${statusCode} for ${url.pathname}`)
        );
      },
      { ...access, what: `${id.name}: ${url.origin}` },
    );
  };
}

async function boundedText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    bytes += (chunk as Buffer).length;
    if (bytes > maxAnswerBytes)
      throw new NetworkError(`the hub's answer is longer than ${maxAnswerBytes} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}
