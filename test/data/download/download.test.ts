import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import test, { type ExecutionContext } from "ava";
import {
  type Download,
  type DownloadOptions,
  download,
} from "../../../src/data/download/download.js";
import { DataError, NetworkError, UsageError } from "../../../src/errors.js";
import type { Progress } from "../../../src/progress.js";
import { cert, key } from "./certificate.js";
import { type FileOptions, sendFile, serve } from "./server.js";
import { patched, renamed, zipOf } from "./zips.js";

const ratings = Array.from({ length: 40_000 }, (_, i) => `${i},${(i * 7919) % 10_007},4.5`).join(
  "\n",
);
const zip = await zipOf({
  "ml-latest-small/ratings.csv": ratings,
  "ml-latest-small/movies.csv": "id,title\n",
});
const md5 = createHash("md5").update(zip).digest("hex");
const sha256 = createHash("sha256").update(zip).digest("hex");

/** A folder to download to, and a call that does not wait for long. */
async function setUp(t: ExecutionContext) {
  const out = await mkdtemp(join(tmpdir(), "user-llm-download-"));
  t.teardown(() => rm(out, { recursive: true }));
  const get = (url: string, options: Partial<DownloadOptions> = {}): Promise<Download> =>
    download("ml-latest-small", { out, url, env: {}, retryDelayMs: 1, stallMs: 400, ...options });
  const names = async () => (await readdir(out)).sort();
  return { out, get, names };
}

const part = "ml-latest-small.zip.part";

/** Cuts the connection once 30 000 more bytes are written, which is where the server stands still. */
const cutter = (server: Server) => ({
  stallMs: 30_000,
  onProgress: ({ task, done }: Progress) => {
    if (task.startsWith("downloading") && done % 30_000 === 0) server.closeAllConnections();
  },
});

/** A server of the zip and, unless told otherwise, its checksum. */
async function archive(
  t: ExecutionContext,
  options: (request: number) => FileOptions = () => ({}),
  sum: string | undefined = md5,
) {
  let requests = 0;
  return serve(t, (request, response) => {
    if (request.url!.endsWith(".md5")) {
      if (sum === "") response.writeHead(404).end();
      else response.end(`MD5 (ml-latest-small.zip) = ${sum}\n`);
      return;
    }
    sendFile(request, response, zip, options(++requests));
  });
}

test("a data set is downloaded, checked and unpacked; a second call finds it there", async (t) => {
  const { out, get, names } = await setUp(t);
  const { url, seen } = await archive(t);
  const progress: Progress[] = [];
  const got = await get(`${url}/mirror/`, { onProgress: (one) => progress.push(one) });
  const folder = join(out, "ml-latest-small");
  t.is(got.folder, folder);
  t.true(got.fresh);
  t.is(got.title, "MovieLens latest-small");
  t.regex(got.licence, /GroupLens/);
  t.deepEqual(got.downloads, [
    {
      name: "ml-latest-small.zip",
      url: `${url}/mirror/ml-latest-small.zip`,
      bytes: zip.length,
      sha256,
      checksum: `md5:${md5}`,
    },
  ]);
  t.deepEqual(await names(), ["ml-latest-small"]);
  t.deepEqual((await readdir(folder)).sort(), ["DOWNLOAD.json", "movies.csv", "ratings.csv"]);
  t.is(await readFile(join(folder, "ratings.csv"), "utf8"), ratings);
  const { folder: _, fresh, ...receipt } = got;
  t.deepEqual(JSON.parse(await readFile(join(folder, "DOWNLOAD.json"), "utf8")), receipt);
  for (const task of ["downloading", "checking", "unpacking"]) {
    t.true(
      progress.some((one) => one.task === `${task} ml-latest-small.zip`),
      task,
    );
  }
  t.is(progress.find(({ done, total }) => done === total)?.total, zip.length);

  const requests = seen.length;
  const again = await get(`${url}/mirror/`, { offline: true });
  t.deepEqual(again, { ...got, fresh: false });
  t.is(seen.length, requests);
});

test("a connection that is cut is taken up where it ended", async (t) => {
  const { get } = await setUp(t);
  const { url, seen, server } = await archive(t, (request) =>
    request < 4 ? { stallAfter: 30_000 } : {},
  );
  const { downloads } = await get(`${url}/ml.zip`, cutter(server));
  t.is(downloads[0]!.sha256, sha256);
  const ranges = seen
    .filter((one) => one.url === "/ml.zip")
    .map(({ range, ifRange }) => [range, ifRange]);
  t.deepEqual(ranges, [
    [undefined, undefined],
    ["bytes=30000-", '"v1"'],
    ["bytes=60000-", '"v1"'],
    ["bytes=90000-", '"v1"'],
  ]);
});

test("an aborted download leaves its part, and the next call continues it", async (t) => {
  const { out, get, names } = await setUp(t);
  const { url, seen } = await archive(t, (request) =>
    request === 1 ? { stallAfter: 50_000 } : {},
  );
  const stop = new AbortController();
  const reason = new Error("enough");
  const failed = get(`${url}/ml.zip`, {
    signal: stop.signal,
    stallMs: 30_000,
    onProgress: ({ done }) => done >= 50_000 && stop.abort(reason),
  });
  t.is(await t.throwsAsync(failed), reason);
  t.deepEqual(await names(), [part, `${part}.json`]);
  t.is((await stat(join(out, part))).size, 50_000);

  await get(`${url}/ml.zip`);
  t.is(seen.at(-1)!.range, "bytes=50000-");
  t.deepEqual(await names(), ["ml-latest-small"]);
});

test("aborting before it starts leaves nothing", async (t) => {
  const { get, names } = await setUp(t);
  const { url } = await archive(t);
  await t.throwsAsync(get(`${url}/ml.zip`, { signal: AbortSignal.abort(new Error("no")) }), {
    message: "no",
  });
  t.deepEqual(
    (await names()).filter((name) => !name.startsWith(part)),
    [],
  );
});

test("a transfer that stands still is taken up", async (t) => {
  const { get } = await setUp(t);
  const { url, seen } = await archive(t, (request) =>
    request === 1 ? { stallAfter: 20_000 } : {},
  );
  t.is((await get(`${url}/ml.zip`)).downloads[0]!.sha256, sha256);
  t.is(seen.at(-1)!.range, "bytes=20000-");
});

test("a server without ranges starts over", async (t) => {
  const { get } = await setUp(t);
  const { url, seen } = await archive(t, (request) => ({
    ranges: false,
    ...(request < 3 && { cutAfter: 30_000 }),
  }));
  t.is((await get(`${url}/ml.zip`)).downloads[0]!.sha256, sha256);
  t.is(seen.filter((one) => one.url === "/ml.zip").length, 3);
});

test("a file that changes in between starts over", async (t) => {
  const { get } = await setUp(t);
  const { url, seen, server } = await archive(t, (request) =>
    request === 1 ? { etag: '"old"', stallAfter: 30_000 } : {},
  );
  t.is((await get(`${url}/ml.zip`, cutter(server))).downloads[0]!.sha256, sha256);
  t.is(seen.at(-1)!.ifRange, '"old"');
});

test("a server that ignores If-Range does not get parts of two files into one", async (t) => {
  const { get } = await setUp(t);
  let requests = 0;
  const { url, seen, server } = await serve(t, (request, response) => {
    requests++;
    delete request.headers["if-range"];
    if (request.url!.endsWith(".md5")) response.writeHead(404).end();
    else if (requests === 2)
      sendFile(request, response, Buffer.alloc(zip.length), { etag: '"old"', stallAfter: 30_000 });
    else sendFile(request, response, zip, { etag: '"new"' });
  });
  t.is((await get(`${url}/ml.zip`, cutter(server))).downloads[0]!.sha256, sha256);
  t.deepEqual(
    seen.map(({ range }) => range),
    [undefined, undefined, "bytes=30000-", undefined],
  );
});

test("without a validator a part is not continued; a date is one, a weak tag is not", async (t) => {
  for (const [headers, range] of [
    [{ etag: "" }, undefined],
    [{ etag: 'W/"v1"' }, undefined],
    [{ etag: 'W/"v1"', lastModified: "Mon, 23 Nov 2026 00:00:00 GMT" }, "bytes=30000-"],
  ] as const) {
    const { get } = await setUp(t);
    const { url, seen, server } = await archive(t, (request) => ({
      ...headers,
      ...(request === 1 && { stallAfter: 30_000 }),
    }));
    t.is((await get(`${url}/ml.zip`, cutter(server))).downloads[0]!.sha256, sha256);
    t.is(seen.at(-1)!.range, range);
  }
});

test("what is there in full is not sent again", async (t) => {
  const { out, get } = await setUp(t);
  const { url, seen } = await archive(t);
  await writeFile(join(out, part), zip);
  await writeFile(
    join(out, `${part}.json`),
    JSON.stringify({ url: `${url}/ml.zip`, etag: '"v1"', bytes: zip.length }),
  );
  const got = await get(`${url}/ml.zip`);
  t.is(got.downloads[0]!.sha256, sha256);
  t.is(seen.at(-1)!.range, `bytes=${zip.length}-`);
});

test("a part that is longer than the file, or of another address, or of unknown origin, is not used", async (t) => {
  for (const [length, sidecar] of [
    [zip.length + 5, (url: string) => JSON.stringify({ url: `${url}/ml.zip`, etag: '"v1"' })],
    [1000, () => JSON.stringify({ url: "http://other.test/ml.zip", etag: '"v1"' })],
    [1000, () => "{ cut off"],
    [1000, () => undefined],
  ] as const) {
    const { out, get } = await setUp(t);
    const { url } = await archive(t);
    await writeFile(join(out, part), Buffer.alloc(length, 1));
    const text = sidecar(url);
    if (text !== undefined) await writeFile(join(out, `${part}.json`), text);
    t.is((await get(`${url}/ml.zip`)).downloads[0]!.sha256, sha256);
  }
});

test("a file that is not what its publisher says is removed", async (t) => {
  const { get, names } = await setUp(t);
  const wrong = "0".repeat(32);
  const { url } = await archive(t, undefined, wrong);
  const error = await t.throwsAsync(get(`${url}/ml.zip`), { instanceOf: NetworkError });
  t.is(
    error.message,
    `ml-latest-small.zip: its md5 is ${md5}, expected ${wrong}; the file was removed`,
  );
  t.deepEqual(await names(), []);
});

test("a checksum of one's own is taken; a publisher without one is told", async (t) => {
  const { get } = await setUp(t);
  const { url } = await archive(t, undefined, "");
  await t.throwsAsync(get(`${url}/ml.zip`, { checksum: `sha256:${"a".repeat(64)}` }), {
    message: new RegExp(`its sha256 is ${sha256}, expected aaaa`),
  });
  await t.throwsAsync(get(`${url}/ml.zip`, { checksum: "abc" }), { instanceOf: UsageError });
  const got = await get(`${url}/ml.zip`);
  t.is(got.downloads[0]!.checksum, null);
});

test("a page in place of the checksum is an error", async (t) => {
  const { get } = await setUp(t);
  const { url } = await archive(t, undefined, "<html>Sign in to the network</html>");
  await t.throwsAsync(get(`${url}/ml.zip`), {
    instanceOf: NetworkError,
    message: /ml\.zip\.md5 has no MD5 in it/,
  });
});

for (const status of [400, 401, 403, 404, 410]) {
  test(`status ${status} is an error at once`, async (t) => {
    const { get, names } = await setUp(t);
    const { url, seen } = await serve(t, (request, response) => {
      response.writeHead(request.url!.endsWith(".md5") ? 404 : status).end();
    });
    await t.throwsAsync(get(`${url}/ml.zip`), {
      instanceOf: NetworkError,
      message: `ml-latest-small.zip: ${url} answered ${status} for ${url}/ml.zip`,
    });
    t.is(seen.length, 2);
    t.deepEqual(
      (await names()).filter((name) => !name.startsWith(part)),
      [],
    );
  });
}

for (const status of [408, 429, 500, 503]) {
  test(`status ${status} is waited out, for so long`, async (t) => {
    const { get } = await setUp(t);
    let left = 2;
    const { url } = await serve(t, (request, response) => {
      if (request.url!.endsWith(".md5")) response.writeHead(404).end();
      else if (left-- > 0) response.writeHead(status).end("busy");
      else sendFile(request, response, zip);
    });
    t.is((await get(`${url}/ml.zip`)).downloads[0]!.sha256, sha256);

    const { get: getAgain } = await setUp(t);
    left = 100;
    await t.throwsAsync(getAgain(`${url}/ml.zip`, { retries: 2 }), {
      instanceOf: NetworkError,
      message: `ml-latest-small.zip: ${url} failed 3 times: it answered ${status} for ${url}/ml.zip`,
    });
  });
}

test("Retry-After is heeded", async (t) => {
  const { get } = await setUp(t);
  const times: number[] = [];
  const { url } = await serve(t, (request, response) => {
    if (request.url!.endsWith(".md5")) return void response.writeHead(404).end();
    times.push(Date.now());
    if (times.length === 1) response.writeHead(429, { "retry-after": "1" }).end();
    else sendFile(request, response, zip);
  });
  await get(`${url}/ml.zip`);
  t.true(times[1]! - times[0]! >= 990);
});

test("nobody there is a network error", async (t) => {
  const { get } = await setUp(t);
  const { url, server } = await archive(t);
  await new Promise((resolve) => server.close(resolve));
  await t.throwsAsync(get(`${url}/ml.zip`, { retries: 1, checksum: `md5:${md5}` }), {
    instanceOf: NetworkError,
    message: /failed 2 times: .*ECONNREFUSED/,
  });
});

test("redirects are followed, but not in circles", async (t) => {
  const { get } = await setUp(t);
  const { url: real } = await archive(t);
  const { url } = await serve(t, ({ url: path = "" }, response) => {
    const location = path.startsWith("/circle")
      ? path
      : path.startsWith("/a")
        ? path.replace("/a", "/b")
        : `${real}${path}`;
    response.writeHead(302, { location }).end("elsewhere");
  });
  t.is((await get(`${url}/a.zip`)).downloads[0]!.sha256, sha256);
  const { get: getAgain } = await setUp(t);
  await t.throwsAsync(getAgain(`${url}/circle.zip`), {
    instanceOf: NetworkError,
    message: /more than 10 redirects/,
  });
  const { url: odd } = await serve(
    t,
    (_, response) => void response.writeHead(302, { location: "ftp://x.test/ml.zip" }).end(),
  );
  await t.throwsAsync(getAgain(`${odd}/ml.zip`), {
    instanceOf: NetworkError,
    message: /refused to follow/,
  });
});

test("an archive that is no zip, or a hostile one, leaves nothing but the part", async (t) => {
  for (const [content, message] of [
    [Buffer.from("<html>Sign in</html>".repeat(20)), /cannot be read as a zip/],
    [
      renamed(await zipOf({ "folder/name.txt": "content" }), "folder/name.txt", "../../../me.txt"),
      /invalid relative path/,
    ],
    [patched(await zipOf({ a: "content" }), (entry) => entry.writeUInt32LE(7, 16)), /are damaged/],
  ] as const) {
    const { get, names } = await setUp(t);
    const { url } = await serve(t, (request, response) => {
      if (request.url!.endsWith(".md5")) response.writeHead(404).end();
      else sendFile(request, response, content);
    });
    await t.throwsAsync(get(`${url}/ml.zip`), { instanceOf: DataError, message });
    t.deepEqual(await names(), [part, `${part}.json`]);
  }
});

test("a folder that is not ours, or has lost files, is not touched", async (t) => {
  const { out, get, names } = await setUp(t);
  const { url } = await archive(t);
  const folder = join(out, "ml-latest-small");
  await mkdir(folder);
  await writeFile(join(folder, "notes.txt"), "mine");
  await t.throwsAsync(get(`${url}/ml.zip`), {
    instanceOf: UsageError,
    message: /holds files that were not downloaded/,
  });
  t.deepEqual(await readdir(folder), ["notes.txt"]);
  await rm(folder, { recursive: true });
  await get(`${url}/ml.zip`);
  await writeFile(join(folder, "ratings.csv"), "short");
  await t.throwsAsync(get(`${url}/ml.zip`), {
    instanceOf: DataError,
    message: /ratings\.csv has 5 bytes instead of \d+; remove the folder/,
  });
  await rm(join(folder, "ratings.csv"));
  await t.throwsAsync(get(`${url}/ml.zip`), {
    instanceOf: DataError,
    message: /ratings\.csv is gone/,
  });
  t.deepEqual(await names(), ["ml-latest-small"]);
});

test("offline, the network is not used; a mirror in the file system is", async (t) => {
  const { out, get, names } = await setUp(t);
  const { url, seen } = await archive(t);
  for (const options of [{ offline: true }, { env: { USER_LLM_OFFLINE: "1" } }]) {
    await t.throwsAsync(get(`${url}/ml.zip`, options), {
      instanceOf: NetworkError,
      message: /the network is not to be used/,
    });
  }
  t.is(seen.length, 0);
  t.deepEqual(await names(), []);
  const mirror = join(out, "mirror");
  await mkdir(mirror);
  await writeFile(join(mirror, "ml-latest-small.zip"), zip);
  await writeFile(join(mirror, "ml-latest-small.zip.md5"), `${md5}  ml-latest-small.zip\n`);
  const got = await get(`${mirror}/`, { offline: true });
  t.is(got.downloads[0]!.checksum, `md5:${md5}`);
  await t.throwsAsync(get("ftp://x.test/ml.zip", { out: join(out, "x") }), {
    instanceOf: UsageError,
  });
  await t.throwsAsync(get(join(out, "absent.zip"), { out: join(out, "x") }), {
    instanceOf: DataError,
    message: /absent\.zip: cannot read: no such file/,
  });
});

test("a data set of several files comes whole or not at all", async (t) => {
  const { out } = await setUp(t);
  const files: Record<string, Buffer> = {
    "/Gift_Cards.jsonl.gz": gzipSync('{"rating":5}\n'),
    "/meta_Gift_Cards.jsonl.gz": gzipSync('{"title":"Card"}\n'),
  };
  let broken = true;
  const { url, seen } = await serve(t, (request, response) => {
    const content = files[request.url!]!;
    if (broken && request.url!.startsWith("/meta")) response.writeHead(403).end();
    else sendFile(request, response, content);
  });
  const options = { out, env: {}, category: "gift cards", retryDelayMs: 1 };
  await t.throwsAsync(download("amazon-2023", { ...options, url }), {
    instanceOf: UsageError,
    message: /is a folder, and ends in "\/"/,
  });
  await t.throwsAsync(
    download("amazon-2023", { ...options, url: `${url}/`, checksum: `md5:${md5}` }),
    { instanceOf: UsageError, message: /a checksum is for one file/ },
  );
  await t.throwsAsync(download("amazon-2023", { ...options, url: `${url}/` }), {
    message: /answered 403/,
  });
  t.false((await readdir(out)).includes("amazon-2023-Gift_Cards"));
  broken = false;
  const got = await download("amazon-2023", { ...options, url: `${url}/` });
  t.deepEqual((await readdir(out)).sort(), ["amazon-2023-Gift_Cards"]);
  t.deepEqual((await readdir(got.folder)).sort(), [
    "DOWNLOAD.json",
    "Gift_Cards.jsonl.gz",
    "meta_Gift_Cards.jsonl.gz",
  ]);
  t.deepEqual(
    got.downloads.map(({ name, checksum, sha256: sum }) => [name, checksum, sum]),
    Object.entries(files).map(([path, content]) => [
      path.slice(1),
      null,
      createHash("sha256").update(content).digest("hex"),
    ]),
  );
  // The first file had come already: it was only asked whether there is more.
  t.deepEqual(
    seen.filter(({ url: path }) => path === "/Gift_Cards.jsonl.gz").map(({ range }) => range),
    [undefined, `bytes=${files["/Gift_Cards.jsonl.gz"]!.length}-`],
  );
});

test("names and parts that are not there are told with those that are", async (t) => {
  const { out } = await setUp(t);
  for (const [name, options, message] of [
    [
      "ml-30m",
      {},
      /^no data set is called "ml-30m"; there are ml-latest-small, ml-1m, .*google-local-2021$/,
    ],
    ["amazon-2018", {}, /^amazon-2018 needs a category; there are AMAZON_FASHION, /],
    [
      "amazon-2014",
      { category: "Gift_Cards" },
      /^amazon-2014 has no category "Gift_Cards"; there are Amazon_Instant_Video, /,
    ],
    [
      "google-local-2021",
      { state: "Bavaria" },
      /^google-local-2021 has no state "Bavaria"; there are Alabama, /,
    ],
    ["ml-1m", { category: "Books" }, /^ml-1m has no category to choose/],
    ["amazon-2018", { category: "Books", state: "Ohio" }, /^amazon-2018 has no state to choose/],
  ] as const) {
    await t.throwsAsync(download(name, { out, ...options }), { instanceOf: UsageError, message });
  }
});

/** A proxy on loopback that notes what it is asked for. It tunnels to one port only, or refuses to. */
async function proxy(
  t: ExecutionContext,
  tunnelTo?: number,
): Promise<{ url: string; asked: string[]; server: Server }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const { port, pathname } = new URL(request.url!);
    const socket = connectSocket(Number(port), "127.0.0.1", () => {
      const headers = Object.entries({ ...request.headers, connection: "close" }).map(
        ([name, value]) => `${name}: ${value}`,
      );
      socket.write(`GET ${pathname} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
      socket.pipe(response.socket!);
    });
  });
  server.on("connect", (request, socket) => {
    asked.push(`CONNECT ${request.url}`);
    if (tunnelTo === undefined) return void socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    const onward = connectSocket(tunnelTo, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
    for (const end of [socket, onward]) end.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, server };
}

test("the proxy of the environment is used, but for the hosts of NO_PROXY", async (t) => {
  const { url, seen } = await archive(t);
  const { url: through, asked } = await proxy(t);
  const { port } = new URL(url);
  const { get } = await setUp(t);
  // A name that only the proxy can resolve.
  const env = { HTTP_PROXY: through, HTTPS_PROXY: through, NO_PROXY: "127.0.0.1" };
  t.is((await get(`http://files.invalid:${port}/ml.zip`, { env })).downloads[0]!.sha256, sha256);
  t.deepEqual(asked, [
    `GET http://files.invalid:${port}/ml.zip.md5`,
    `GET http://files.invalid:${port}/ml.zip`,
  ]);
  t.is(seen.length, 2);

  const { get: direct } = await setUp(t);
  t.is((await direct(`${url}/ml.zip`, { env })).downloads[0]!.sha256, sha256);
  t.is(asked.length, 2);

  const { get: secure } = await setUp(t);
  const options = { env: { https_proxy: through }, retries: 0, checksum: `md5:${md5}` };
  await t.throwsAsync(secure("https://files.invalid/ml.zip", options), {
    instanceOf: NetworkError,
    message: /403/,
  });
  t.is(asked.at(-1), "CONNECT files.invalid:443");
});

test("a server that does not speak TLS is an error", async (t) => {
  const { url, seen } = await archive(t);
  const { get } = await setUp(t);
  const { port } = new URL(url);
  // Plain HTTP answers a TLS greeting with nonsense.
  await t.throwsAsync(
    get(`https://127.0.0.1:${port}/ml.zip`, { retries: 0, checksum: `md5:${md5}` }),
    { instanceOf: NetworkError },
  );
  t.is(seen.length, 0);
});

test.serial(
  "HTTPS goes through a tunnel, and only to a server that somebody vouches for",
  async (t) => {
    const secure = createSecureServer({ key, cert }, (request, response) => {
      sendFile(request, response, zip);
    });
    await new Promise<void>((resolve) => secure.listen(0, "127.0.0.1", resolve));
    t.teardown(() => {
      secure.closeAllConnections();
      secure.close();
    });
    const { url: through, asked } = await proxy(t, (secure.address() as AddressInfo).port);
    const { get } = await setUp(t);
    const options = { env: { HTTPS_PROXY: through }, checksum: `md5:${md5}`, stallMs: 30_000 };
    await t.throwsAsync(get("https://files.invalid/ml.zip", options), {
      instanceOf: NetworkError,
      message: "https://files.invalid: self-signed certificate",
    });
    t.deepEqual(asked, ["CONNECT files.invalid:443"]);

    process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
    t.teardown(() => {
      delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
    });
    t.is((await get("https://files.invalid/ml.zip", options)).downloads[0]!.sha256, sha256);
  },
);

test("aborting ends the wait for the next attempt", async (t) => {
  const { get } = await setUp(t);
  const { url } = await serve(t, (_, response) => void response.writeHead(503).end());
  const stop = new AbortController();
  const reason = new Error("enough");
  setTimeout(() => stop.abort(reason), 100);
  const options = { signal: stop.signal, retryDelayMs: 60_000, checksum: `md5:${md5}` };
  t.is(await t.throwsAsync(get(`${url}/ml.zip`, options)), reason);
});
