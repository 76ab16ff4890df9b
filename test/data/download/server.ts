import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ExecutionContext } from "ava";

/** A request as a test looks at it. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly host: string | undefined;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** An HTTP server on loopback, gone at the end of the test. */
export async function serve(
  t: ExecutionContext,
  handler: Handler,
): Promise<{ url: string; seen: Seen[]; server: Server }> {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const { method = "", url = "", headers } = request;
    const { range, host } = headers;
    seen.push({ method, url, range, host, ifRange: headers["if-range"] as string | undefined });
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, server };
}

export interface FileOptions {
  /** Default: `"v1"`. */
  etag?: string | undefined;
  lastModified?: string | undefined;
  /** Default: true. */
  ranges?: boolean;
  /** Close the connection after so many bytes of the body. */
  cutAfter?: number | undefined;
  /** Stop sending after so many bytes of the body, and keep the connection. */
  stallAfter?: number | undefined;
}

/** Answers as a server of files does, to the letter of RFC 9110, or fails as told. */
export function sendFile(
  { headers }: IncomingMessage,
  response: ServerResponse,
  content: Buffer,
  options: FileOptions = {},
): void {
  const { etag = '"v1"', lastModified, ranges = true, cutAfter, stallAfter } = options;
  if (etag !== "") response.setHeader("etag", etag);
  if (lastModified !== undefined) response.setHeader("last-modified", lastModified);
  const condition = headers["if-range"];
  const same = condition === undefined || condition === etag || condition === lastModified;
  const range = ranges && same ? /^bytes=(\d+)-$/.exec(headers.range ?? "") : null;
  const start = Number(range?.[1] ?? 0);
  if (range !== null && start >= content.length) {
    response.writeHead(416, { "content-range": `bytes */${content.length}` }).end();
    return;
  }
  const body = content.subarray(start);
  response.setHeader("content-length", body.length);
  if (range !== null) {
    response.setHeader("content-range", `bytes ${start}-${content.length - 1}/${content.length}`);
  }
  response.writeHead(range === null ? 200 : 206);
  const limit = cutAfter ?? stallAfter;
  if (limit === undefined || limit >= body.length) {
    response.end(body);
    return;
  }
  response.write(body.subarray(0, limit), () => {
    if (cutAfter !== undefined) setTimeout(() => response.destroy(), 10);
  });
}
