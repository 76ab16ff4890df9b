/** A server on loopback that answers as the Hugging Face hub does: the part of its API that downloads a model. */
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { type ResolveModelOptions, resolveModel } from "../../src/hub/index.js";
import { saveSafetensors, tensor } from "../../src/tensor/index.js";
import { type FileOptions, sendFile, serve } from "../data/download/server.js";

export const commit = "c0ffee".padEnd(40, "0");

/** A request to the hub, or to where it keeps large files. */
export interface HubRequest {
  readonly to: "hub" | "store";
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

export interface FakeHubOptions {
  /** Contents by name; those of `.safetensors` and `.bin` are large files. */
  files: Readonly<Record<string, Buffer | string>>;
  /** Answers in place of the hub or its store; false where it leaves that to them. */
  instead?: (request: IncomingMessage, response: ServerResponse, to: "hub" | "store") => boolean;
  /** How files are sent, by name. */
  sending?: (name: string) => FileOptions;
  /** Of the list of files: changed before it is sent. */
  listed?: (entries: TreeEntry[]) => unknown;
}

export interface TreeEntry {
  type: string;
  path: string;
  size: number;
  oid: string;
  lfs?: { oid: string; size: number; pointerSize: number };
}

export const sha256 = (content: Buffer): string =>
  createHash("sha256").update(content).digest("hex");

export const gitHash = (content: Buffer): string =>
  createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");

const isLarge = (name: string): boolean => /\.(safetensors|bin)$/.test(name);

export async function fakeHub(t: ExecutionContext, options: FakeHubOptions) {
  const { instead = () => false, sending = () => ({}), listed = (entries) => entries } = options;
  const files = new Map(
    Object.entries(options.files).map(([name, content]) => [name, Buffer.from(content)]),
  );
  const requests: HubRequest[] = [];
  const note = (to: "hub" | "store", { url = "", headers }: IncomingMessage): void => {
    const { authorization, range } = headers;
    requests.push({ to, path: url.split("?")[0]!, authorization, range });
  };
  const store = await serve(t, (request, response) => {
    note("store", request);
    if (instead(request, response, "store")) return;
    const name = decodeURIComponent(/^\/lfs\/([^?]*)/.exec(request.url!)![1]!);
    sendFile(request, response, files.get(name)!, { etag: '"store"', ...sending(name) });
  });
  const hub = await serve(t, (request, response) => {
    note("hub", request);
    if (instead(request, response, "hub")) return;
    const path = decodeURIComponent(request.url!.split("?")[0]!);
    const json = (value: unknown): void => {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(value));
    };
    const refuse = (status: number, code: string): void => {
      response.writeHead(status, { "x-error-code": code }).end("{}");
    };
    if (!/^\/(api\/models\/)?org\/tiny\//.test(path)) return refuse(404, "RepoNotFound");
    const revision = /^\/api\/models\/org\/tiny\/revision\/(.+)$/.exec(path)?.[1];
    if (revision !== undefined) {
      const known = ["main", "v1", "refs/pr/1", commit].includes(revision);
      return known ? json({ id: "org/tiny", sha: commit }) : refuse(404, "RevisionNotFound");
    }
    if (path === `/api/models/org/tiny/tree/${commit}`) return json(listed(treeOf(files)));
    const name = path.startsWith(`/org/tiny/resolve/${commit}/`) ? path.split("/").at(-1)! : "";
    const content = files.get(name);
    if (content === undefined) return refuse(404, "EntryNotFound");
    if (!isLarge(name))
      return sendFile(request, response, content, {
        etag: `"${gitHash(content)}"`,
        ...sending(name),
      });
    const location = `${store.url}/lfs/${encodeURIComponent(name)}?X-Amz-Signature=secret`;
    response.writeHead(302, { location, "x-linked-etag": `"${sha256(content)}"` }).end();
  });
  const cache = await mkdtemp(join(tmpdir(), "user-llm-hub-"));
  t.teardown(() => rm(cache, { recursive: true }));
  const resolve = (id = "org/tiny", more: Partial<ResolveModelOptions> = {}): Promise<string> =>
    resolveModel(id, {
      ...{ cache: join(cache, "hub"), endpoint: hub.url, env: {}, retryDelayMs: 1, stallMs: 2000 },
      ...more,
    });
  return { url: hub.url, storeUrl: store.url, requests, cache, resolve, store: store.server };
}

function treeOf(files: ReadonlyMap<string, Buffer>): TreeEntry[] {
  return [...files].map(([path, content]) => {
    const { length: size } = content;
    const entry = { type: "file", path, size, oid: gitHash(content) };
    if (!isLarge(path)) return entry;
    return { ...entry, lfs: { oid: sha256(content), size, pointerSize: 130 } };
  });
}

/** Weights of one tensor, as a file. */
export async function weights(t: ExecutionContext, size = 100_000): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-weights-"));
  t.teardown(() => rm(folder, { recursive: true }));
  using values = tensor(Float32Array.from({ length: size }, (_, i) => (i * 7919) % 10_007));
  const path = join(folder, "x.safetensors");
  await saveSafetensors(path, { values });
  return readFile(path);
}
