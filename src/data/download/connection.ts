/** HTTP by Node's own client, which takes a server that closes in the middle of anything. */
import http, { type IncomingMessage, type RequestOptions } from "node:http";
import https from "node:https";
import { isIP, type Socket } from "node:net";
import tls from "node:tls";
import { NetworkError } from "../../errors.js";
import { type Environment, proxyFor } from "./proxy.js";

/** How the network is used. */
export interface ConnectionOptions {
  /** Where `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are looked up. Default: the process's. */
  env?: Environment | undefined;
  /** A transfer that stands still for so long has failed. Default: 60 000. */
  stallMs?: number | undefined;
}

export interface Connection {
  /** What the server answers; its body is to be read or destroyed. */
  get(
    url: URL,
    headers: Record<string, string>,
    signal?: AbortSignal | undefined,
  ): Promise<IncomingMessage>;
}

const mostRedirects = 10;

export function connect(options: ConnectionOptions = {}): Connection {
  const { env = process.env, stallMs = 60_000 } = options;
  return {
    async get(start, headers, signal) {
      let url = start;
      let sent = headers;
      for (let redirects = 0; redirects <= mostRedirects; redirects++) {
        const response = await send(url, { headers: sent, signal, env, stallMs });
        const { location } = response.headers;
        if (!isRedirect(response.statusCode) || location === undefined) return response;
        response.destroy();
        const next = new URL(location, url);
        const weaker = url.protocol === "https:" && next.protocol !== "https:";
        if (weaker || !["http:", "https:"].includes(next.protocol)) {
          throw new NetworkError(
            `${start}: refused to follow the redirect from ${url.origin} to ${next.origin}`,
          );
        }
        // What lets in at one place is not for others to see.
        if (next.origin !== url.origin) sent = withoutCredentials(sent);
        url = next;
      }
      throw new NetworkError(`${start}: more than ${mostRedirects} redirects`);
    },
  };
}

function withoutCredentials(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !/^(authorization|cookie)$/i.test(name)),
  );
}

function isRedirect(status: number | undefined): boolean {
  return [301, 302, 303, 307, 308].includes(status ?? 0);
}

interface Sending {
  readonly headers: Record<string, string>;
  readonly signal: AbortSignal | undefined;
  readonly env: Environment;
  readonly stallMs: number;
}

async function send(url: URL, sending: Sending): Promise<IncomingMessage> {
  const headers = {
    ...sending.headers,
    host: url.host,
    "user-agent": "user-llm",
    "accept-encoding": "identity",
  };
  const proxy = proxyFor(url, sending.env);
  if (proxy === undefined) return answer(url, { headers }, sending);
  if (url.protocol === "http:") {
    const all = { ...headers, ...authorization(proxy) };
    return answer(proxy, { headers: all, path: url.href }, sending);
  }
  const socket = await tunnel(proxy, url, sending);
  const { hostname: host } = url;
  const servername = isIP(host.replace(/^\[|\]$/g, "")) === 0 ? host : "";
  const createConnection = () => tls.connect({ socket, host, servername });
  return answer(url, { headers, createConnection }, sending);
}

function answer(to: URL, options: RequestOptions, sending: Sending): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = begin(to, options, sending);
    request.on("response", (response) => {
      response.on("error", () => {}); // whoever reads it learns of it there
      resolve(response);
    });
    request.on("error", reject).end();
  });
}

/** A connection through the proxy that is the server's from here on. */
function tunnel(proxy: URL, url: URL, sending: Sending): Promise<Socket> {
  const path = `${url.hostname}:${url.port || 443}`;
  const headers = { host: path, ...authorization(proxy) };
  return new Promise((resolve, reject) => {
    const request = begin(proxy, { method: "CONNECT", path, headers }, sending);
    request.on("connect", ({ statusCode }, socket: Socket) => {
      if (statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(new NetworkError(`the proxy ${proxy.host} answered ${statusCode} for ${path}`));
    });
    request.on("error", reject).end();
  });
}

function begin(to: URL, options: RequestOptions, { signal, stallMs }: Sending): http.ClientRequest {
  const { request } = to.protocol === "https:" ? https : http;
  // A connection of its own: files are few and long. With an agent, Node passes `createConnection` over.
  const agent = options.createConnection === undefined ? { agent: false } : {};
  const started = request(to, { ...options, ...agent, ...(signal && { signal }) });
  return started.setTimeout(stallMs, () => {
    started.destroy(new Error(`nothing came for ${stallMs / 1000} s`));
  });
}

function authorization({ username, password }: URL): Record<string, string> {
  if (username === "") return {};
  const name = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { "proxy-authorization": `Basic ${Buffer.from(name).toString("base64")}` };
}
