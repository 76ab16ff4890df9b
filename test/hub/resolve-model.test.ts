import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  realpath,
  rm,
  writeFile,
} from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import test from "ava";
import { exitCodeOf } from "../../src/cli/exit-code.js";
import { processMark } from "../../src/data/write/leftovers.js";
import { CheckpointError, NetworkError, UsageError } from "../../src/errors.js";
import { hubCache, hubSettings, resolveModel } from "../../src/hub/index.js";
import type { Progress } from "../../src/progress.js";
import { commit, fakeHub, gitHash, sha256, type TreeEntry, weights } from "./fake-hub.js";

const config = '{"model_type":"llama"}\n';
const small = { "config.json": config, "tokenizer.json": '{"version":"1.0"}' };

test("a model comes into the cache that all libraries share, and only what it needs", async (t) => {
  const model = await weights(t);
  const { cache, resolve, requests } = await fakeHub(t, {
    files: {
      ...small,
      ".gitattributes": "*",
      "README.md": "# Tiny",
      "chat_template.jinja": "{{ messages }}",
      "model.safetensors": model,
      "pytorch_model.bin": "pickle",
      "flax_model.msgpack": "flax",
    },
  });
  const progress: Progress[] = [];
  const folder = await resolve(undefined, { onProgress: (step) => progress.push(step) });
  const home = join(cache, "hub/models--org--tiny");
  t.is(folder, join(home, "snapshots", commit));
  t.is(await readFile(join(home, "refs/main"), "utf8"), commit);
  const names = ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"];
  t.deepEqual((await readdir(folder)).sort(), names);
  t.is(await readlink(join(folder, "model.safetensors")), `../../blobs/${sha256(model)}`);
  t.is(await readlink(join(folder, "config.json")), `../../blobs/${gitHash(Buffer.from(config))}`);
  t.deepEqual(await readFile(join(folder, "model.safetensors")), model);
  t.is((await readdir(join(home, "blobs"))).length, names.length, "and nothing besides");

  const total = model.length + Object.values(small).join("").length + "{{ messages }}".length;
  const last = progress.at(-1)!;
  t.deepEqual(last, { task: "checking org/tiny", done: total, total, unit: "bytes" });
  t.true(progress.every(({ done }, i) => i === 0 || done >= 0));
  t.true(progress.some(({ task }) => task === "downloading org/tiny"));

  const before = await lstat(join(folder, "model.safetensors"));
  requests.length = 0;
  t.is(await resolve(), folder);
  t.true(
    requests.every(({ path }) => path.startsWith("/api/")),
    "nothing comes twice",
  );
  t.is((await lstat(join(folder, "model.safetensors"))).ino, before.ino);
});

test("of sharded weights the shards come that the index names", async (t) => {
  const [a, b] = [await weights(t, 10), await weights(t, 20)];
  const [first, second] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const index = { metadata: { total_size: 120 }, weight_map: { a: first, b: second } };
  const { resolve } = await fakeHub(t, {
    files: {
      ...small,
      "model.safetensors.index.json": JSON.stringify(index),
      [first]: a,
      [second]: b,
      "consolidated.safetensors": b,
    },
  });
  const folder = await resolve();
  t.deepEqual((await readdir(folder)).sort(), [
    "config.json",
    first,
    second,
    "model.safetensors.index.json",
    "tokenizer.json",
  ]);
  t.deepEqual(await readFile(join(folder, second)), b);
});

test("other files are had by their names", async (t) => {
  const adapter = await weights(t, 10);
  const { resolve } = await fakeHub(t, {
    files: { "adapter_config.json": "{}", "adapter_model.safetensors": adapter, ...small },
  });
  const files = ["adapter_config.json", "adapter_model.safetensors"];
  t.deepEqual((await readdir(await resolve(undefined, { files }))).sort(), files);
  await t.throwsAsync(resolve(undefined, { files: ["x.json"] }), {
    instanceOf: CheckpointError,
    message: "org/tiny: has no x.json",
  });
  await t.throwsAsync(resolve(undefined, { files: ["../x.json"] }), {
    instanceOf: UsageError,
    message: '"../x.json" is not the plain name of a file',
  });
});

test("a branch, a tag, a commit and a pull request are revisions", async (t) => {
  const { cache, resolve } = await fakeHub(t, {
    files: { ...small, "model.safetensors": await weights(t, 10) },
  });
  const folder = await resolve("org/tiny@v1");
  t.is(await resolve("org/tiny", { revision: "refs/pr/1" }), folder);
  t.is(await resolve(`org/tiny@${commit}`), folder);
  const refs = join(cache, "hub/models--org--tiny/refs");
  t.deepEqual((await readdir(refs, { recursive: true })).sort(), [
    "refs",
    "refs/pr",
    "refs/pr/1",
    "v1",
  ]);
  await t.throwsAsync(resolve("org/tiny@v2"), {
    instanceOf: NetworkError,
    message: 'org/tiny has no revision "v2"',
  });
});

test("a folder is taken as it is; what is neither folder nor id is refused", async (t) => {
  const { cache } = await fakeHub(t, { files: {} });
  t.is(await resolveModel(cache), cache);
  const file = join(cache, "x");
  await writeFile(file, "");
  await t.throwsAsync(resolveModel(file), {
    instanceOf: UsageError,
    message: `${file} is a file; a model is a folder, or an id like org/name`,
  });
  const wrong = [
    "./absent",
    "/absent/model",
    "a/b/c",
    "../x",
    "a b/c",
    "a--b/c",
    "-a/b",
    "a/b.",
    "",
  ];
  for (const id of [...wrong, "a/..", "a\\b", "a/b\n", "x".repeat(97)])
    await t.throwsAsync(resolveModel(id, { env: {} }), {
      instanceOf: UsageError,
      message: `"${id}" is neither a folder here nor the id of a model on the hub, which is like org/name`,
    });
  for (const revision of ["../x", "/x", "", "a..b", "a//b", "a b", ".x"])
    await t.throwsAsync(resolveModel("a/b", { revision, env: {} }), {
      instanceOf: UsageError,
      message: `"${revision}" is not a revision: a branch, a tag or a commit`,
    });
  await t.throwsAsync(resolveModel("a/b@v1", { revision: "v2", env: {} }), {
    instanceOf: UsageError,
    message: '"a/b@v1" names a revision, and the options name another, "v2"',
  });
});

const token = "hf_veryverysecret";

test("the token is for the hub alone, wherever it is set", async (t) => {
  const model = await weights(t, 10);
  const hub = await fakeHub(t, { files: { ...small, "model.safetensors": model } });
  const home = join(hub.cache, "home");
  await mkdir(home);
  await writeFile(join(home, "token"), `${token}\n`);
  await writeFile(join(home, "other"), "hf_other");
  const cases: [sent: string | undefined, options: Parameters<typeof hub.resolve>[1]][] = [
    [token, { token }],
    [token, { env: { HF_TOKEN: token, HF_HOME: home } }],
    [token, { env: { HF_HOME: home } }],
    ["hf_other", { env: { HF_HOME: home, HF_TOKEN_PATH: join(home, "other") } }],
    [undefined, { token: "", env: { HF_TOKEN: token } }],
    [undefined, {}],
  ];
  for (const [sent, options] of cases) {
    await rm(join(hub.cache, "hub"), { recursive: true, force: true });
    hub.requests.length = 0;
    await hub.resolve(undefined, options);
    const wanted = sent && `Bearer ${sent}`;
    t.true(hub.requests.some(({ to }) => to === "store"));
    for (const { to, path, authorization } of hub.requests)
      t.is(authorization, to === "hub" ? wanted : undefined, path);
  }
  await t.throwsAsync(hub.resolve(undefined, { token: "a\r\nhost: b" }), {
    instanceOf: UsageError,
    message: "the hub's token has characters that no token has; see HF_TOKEN",
  });
});

test("a list of files that goes on at another place is asked for without the token", async (t) => {
  let first = true;
  const { resolve, requests, storeUrl } = await fakeHub(t, {
    files: { ...small, "model.safetensors": await weights(t, 10) },
    instead: (request, response, to) => {
      if (to === "store" && request.url === "/next") {
        response.end("[]");
        return true;
      }
      if (first && request.url!.includes("/tree/")) {
        first = false;
        response.setHeader("link", `<${storeUrl}/next>; rel="next"`);
      }
      return false;
    },
  });
  await resolve(undefined, { token });
  t.is(requests.find(({ path }) => path === "/next")!.authorization, undefined);
});

for (const [title, status, code, withToken, message] of [
  [
    "gated",
    401,
    "GatedRepo",
    false,
    /^org\/tiny is gated: accept its terms at http:\S+\/org\/tiny; no token is set \(HF_TOKEN\)$/,
  ],
  [
    "gated for this token",
    403,
    "GatedRepo",
    true,
    /^org\/tiny is gated: .* the token \(HF_TOKEN\) does not give access to it$/,
  ],
  [
    "private or absent",
    401,
    "RepoNotFound",
    false,
    /\/org\/tiny: there is no such model, or it is private: no token is set/,
  ],
  [
    "absent",
    404,
    "RepoNotFound",
    true,
    /\/org\/tiny: there is no such model, or it is private: the token/,
  ],
  [
    "forbidden",
    403,
    "",
    true,
    /^org\/tiny: http:\S+ answered 403 for \/api\/models\/org\/tiny\/revision\/main$/,
  ],
] as const)
  test(`a model that is ${title} is an error that says so`, async (t) => {
    const { resolve, cache } = await fakeHub(t, {
      files: {},
      instead: (_, response) => {
        response.writeHead(status, { "x-error-code": code }).end("{}");
        return true;
      },
    });
    const error = await t.throwsAsync(resolve(undefined, withToken ? { token } : {}), {
      instanceOf: NetworkError,
      message,
    });
    t.is(exitCodeOf((error as NetworkError).code), 5);
    t.false(JSON.stringify([error!.message, error!.stack]).includes(token));
    t.deepEqual(await readdir(cache), []);
  });

for (const status of [429, 500, 503])
  test(`status ${status} is waited out, for so long`, async (t) => {
    const failed = new Set<string>();
    let always = false;
    const { resolve } = await fakeHub(t, {
      files: { ...small, "model.safetensors": await weights(t, 10) },
      instead: ({ url = "" }, response) => {
        const fails = always || !failed.has(url);
        failed.add(url);
        if (fails) response.writeHead(status, { "retry-after": "0" }).end();
        return fails;
      },
    });
    await resolve();
    t.is(failed.size, 6);
    always = true;
    await t.throwsAsync(resolve("org/tiny@v1", { retries: 2 }), {
      instanceOf: NetworkError,
      message: new RegExp(`^org/tiny: http://127.0.0.1:\\d+ failed 3 times: it answered ${status}`),
    });
  });

test("a body that is cut off is continued", async (t) => {
  const model = await weights(t);
  let cuts = 3;
  const { resolve, requests } = await fakeHub(t, {
    files: { ...small, "model.safetensors": model },
    sending: (name) => (name === "model.safetensors" && cuts-- > 0 ? { cutAfter: 90_000 } : {}),
  });
  const folder = await resolve();
  t.deepEqual(await readFile(join(folder, "model.safetensors")), model);
  const ranges = requests.filter(({ to }) => to === "store").map(({ range }) => range);
  t.is(ranges[0], undefined);
  t.true(ranges.length === 4 && ranges.slice(1).every((range) => /^bytes=\d+-$/.test(range!)));
});

test("contents that are not what the hub has listed never get into the cache", async (t) => {
  const model = await weights(t);
  const wrong = Buffer.from(model);
  wrong[wrong.length - 1]! ^= 1;
  let lies = true;
  const { resolve, cache } = await fakeHub(t, {
    files: { ...small, "model.safetensors": model },
    instead: (_, response, to) => {
      if (to === "store" && lies) response.end(wrong);
      return to === "store" && lies;
    },
  });
  await t.throwsAsync(resolve(), {
    instanceOf: NetworkError,
    message: `model.safetensors: the hub sent ${model.length} bytes with hash ${sha256(wrong)}, and has listed ${model.length} with ${sha256(model)}`,
  });
  const blobs = await readdir(join(cache, "hub/models--org--tiny/blobs"));
  t.deepEqual(
    blobs.filter((name) => name.includes(sha256(model))),
    [],
  );
  await t.throwsAsync(resolve(undefined, { offline: true }), { instanceOf: NetworkError });
  lies = false;
  await t.notThrowsAsync(resolve());
});

test("a small file is checked as git does", async (t) => {
  const { resolve } = await fakeHub(t, {
    files: { ...small, "model.safetensors": await weights(t, 10) },
    listed: (entries) =>
      entries.map((entry) =>
        entry.path === "config.json" ? { ...entry, oid: "0".repeat(40) } : entry,
      ),
  });
  await t.throwsAsync(resolve(), { message: /^config\.json: the hub sent 23 bytes with hash/ });
});

test("a body without end is refused at the length that the hub has listed", async (t) => {
  const model = await weights(t);
  const { resolve } = await fakeHub(t, {
    files: { ...small, "model.safetensors": model },
    instead: (_, response, to) => {
      if (to === "hub") return false;
      const more = (): void => {
        if (!response.destroyed) response.write(Buffer.alloc(100_000), more);
      };
      more();
      return true;
    },
  });
  await t.throwsAsync(resolve(), {
    instanceOf: NetworkError,
    message: new RegExp(`sent more than the ${model.length} bytes of the file$`),
  });
});

test("an aborted download is continued by the next call", async (t) => {
  const model = await weights(t);
  let stalls = true;
  const hub = await fakeHub(t, {
    files: { ...small, "model.safetensors": model },
    sending: (name) => (stalls && name === "model.safetensors" ? { stallAfter: 200_000 } : {}),
  });
  const stop = new AbortController();
  const reason = new Error("enough");
  const onProgress = ({ done }: Progress): void => {
    if (done >= 200_000) stop.abort(reason);
  };
  const options = { signal: stop.signal, onProgress, stallMs: 30_000 };
  t.is(await t.throwsAsync(hub.resolve(undefined, options)), reason);
  const blobs = join(hub.cache, "hub/models--org--tiny/blobs");
  const hash = sha256(model);
  const left = (await readdir(blobs)).filter((name) => name.includes(hash)).sort();
  t.deepEqual(left, [`.${hash}.partial`, `.${hash}.partial.json`]);
  stalls = false;
  hub.requests.length = 0;
  await hub.resolve();
  t.is(hub.requests.find(({ to }) => to === "store")!.range, "bytes=200000-");
  t.deepEqual(
    (await readdir(blobs)).filter((name) => name.includes(hash)),
    [hash],
  );
});

test("what a process left that was killed is continued; what a living one writes is not touched", async (t) => {
  const model = await weights(t);
  const hub = await fakeHub(t, { files: { ...small, "model.safetensors": model } });
  const blobs = join(hub.cache, "hub/models--org--tiny/blobs");
  const hash = sha256(model);
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  const machine = processMark().split("-")[0];
  const url = `${hub.url}/org/tiny/resolve/${commit}/model.safetensors`;
  const leave = async (owner: number, bytes: number): Promise<void> => {
    const path = join(blobs, `.${hash}.partial-${machine}-${owner}-01234567`);
    await writeFile(path, model.subarray(0, bytes));
    const provenance = { url, etag: '"store"', bytes: model.length };
    await writeFile(`${path}.json`, JSON.stringify(provenance));
  };
  await mkdir(blobs, { recursive: true });
  await leave(pid, 1000);
  await leave(process.ppid, 2000);
  await hub.resolve();
  t.is(hub.requests.find(({ to }) => to === "store")!.range, "bytes=1000-");
  t.deepEqual((await readdir(blobs)).filter((name) => name.includes(hash)).sort(), [
    `.${hash}.partial-${machine}-${process.ppid}-01234567`,
    `.${hash}.partial-${machine}-${process.ppid}-01234567.json`,
    hash,
  ]);
});

test("several calls at once bring the same model, each whole", async (t) => {
  const model = await weights(t);
  let request = 0;
  const { resolve, cache } = await fakeHub(t, {
    files: { ...small, "model.safetensors": model },
    sending: () => (++request % 3 === 0 ? { cutAfter: 50_000, ranges: request % 2 === 0 } : {}),
  });
  const folders = await Promise.all(Array.from({ length: 5 }, () => resolve()));
  for (const folder of folders)
    t.deepEqual(await readFile(join(folder, "model.safetensors")), model);
  const blobs = await readdir(join(cache, "hub/models--org--tiny/blobs"));
  t.is(blobs.length, 3, String(blobs));
});

test("processes share a cache; what one that is killed has brought is not lost", async (t) => {
  const model = await weights(t);
  let stalls = true;
  const hub = await fakeHub(t, {
    files: { ...small, "model.safetensors": model },
    sending: (name) => (stalls && name === "model.safetensors" ? { stallAfter: 200_000 } : {}),
  });
  const cache = join(hub.cache, "hub");
  const start = (): ChildProcessByStdio<null, Readable, null> => {
    const program = fileURLToPath(new URL("resolve-child.ts", import.meta.url));
    return spawn(process.execPath, ["--import=tsx", program, hub.url, cache], {
      stdio: ["ignore", "pipe", "inherit"],
    });
  };
  const killed = start();
  const exit = once(killed, "exit");
  for await (const chunk of killed.stdout) {
    const [, done = "0"] = /done (\d+)\s*$/.exec(String(chunk)) ?? [];
    if (Number(done) >= 200_000) killed.kill("SIGKILL");
  }
  await exit;
  stalls = false;
  hub.requests.length = 0;
  const outputs = await Promise.all(
    [start(), start()].map(({ stdout }) => text(stdout)).concat(hub.resolve()),
  );
  const folder = join(cache, "models--org--tiny/snapshots", commit);
  for (const output of outputs) t.true(output.trim().endsWith(folder), output);
  t.deepEqual(await readFile(join(folder, "model.safetensors")), model);
  const ranges = hub.requests.filter(({ to }) => to === "store").map(({ range }) => range);
  t.is(ranges.filter((range) => range === "bytes=200000-").length, 1, "one of them continues");
  t.is((await readdir(join(cache, "models--org--tiny/blobs"))).length, 3);
});

test("offline, the cache is all there is, and what it lacks is named", async (t) => {
  const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const map = { a: shards[0]!, b: shards[1]! };
  const hub = await fakeHub(t, {
    files: {
      ...small,
      "model.safetensors.index.json": JSON.stringify({ weight_map: map }),
      [shards[0]!]: await weights(t, 10),
      [shards[1]!]: await weights(t, 20),
    },
  });
  const lacks = (what: string) => ({
    instanceOf: NetworkError,
    message: `org/tiny: the cache, ${join(hub.cache, "hub")}, has no ${what} of it, and the network is not to be used (HF_HUB_OFFLINE)`,
  });
  await t.throwsAsync(hub.resolve(undefined, { offline: true }), lacks('revision "main"'));
  t.deepEqual(hub.requests, []);
  const folder = await hub.resolve();
  hub.requests.length = 0;
  for (const env of [
    { HF_HUB_OFFLINE: "1" },
    { HF_HUB_OFFLINE: "true" },
    { TRANSFORMERS_OFFLINE: "YES" },
    { USER_LLM_OFFLINE: "1" },
  ])
    t.is(await hub.resolve(undefined, { env }), folder);
  t.is(await hub.resolve(`org/tiny@${commit}`, { offline: true }), folder);
  await t.throwsAsync(hub.resolve("org/tiny@v1", { offline: true }), lacks('revision "v1"'));
  await rm(await realpath(join(folder, shards[1]!)));
  await t.throwsAsync(hub.resolve(undefined, { offline: true }), lacks(shards[1]!));
  await rm(join(folder, "model.safetensors.index.json"));
  await t.throwsAsync(hub.resolve(undefined, { offline: true }), lacks("model.safetensors"));
  const files = ["adapter_config.json"];
  await t.throwsAsync(hub.resolve(undefined, { offline: true, files }), lacks(files[0]!));
  t.deepEqual(hub.requests, []);
});

test("where the hub cannot be reached and the cache would do, the error says so", async (t) => {
  let down = false;
  const { resolve, cache } = await fakeHub(t, {
    files: { ...small, "model.safetensors": await weights(t, 10) },
    instead: (request) => {
      if (down) request.socket.destroy();
      return down;
    },
  });
  await resolve();
  down = true;
  const hint = "; the cache has it: HF_HUB_OFFLINE=1 uses that without asking";
  const refused = await t.throwsAsync(resolve(undefined, { retries: 1 }), {
    instanceOf: NetworkError,
    message: /^org\/tiny: http:\S+ failed 2 times: /,
  });
  t.true(refused!.message.endsWith(hint));
  const bare = await t.throwsAsync(resolve(undefined, { retries: 0, cache: join(cache, "b") }));
  t.false(bare!.message.includes("the cache"));
});

test("a model without safetensors is refused, whatever else it has", async (t) => {
  const pickles = await fakeHub(t, { files: { ...small, "pytorch_model.bin": "pickle" } });
  await t.throwsAsync(pickles.resolve(), {
    instanceOf: CheckpointError,
    message:
      "org/tiny: has no weights as safetensors (model.safetensors or model.safetensors.index.json), " +
      "only pytorch_model.bin, a pickle, which can run code and is never read",
  });
  t.true(pickles.requests.every(({ path }) => path.startsWith("/api/")));
  const data = await fakeHub(t, { files: { "train.csv": "a,b" } });
  await t.throwsAsync(data.resolve(), {
    instanceOf: CheckpointError,
    message: "org/tiny: has no config.json: it is not a model of transformers",
  });
});

test("a hostile repository writes nowhere but into its own folder", async (t) => {
  const model = await weights(t, 10);
  const oid = gitHash(Buffer.from(config));
  const refused = async (
    listed: (entries: TreeEntry[]) => unknown,
    files: Record<string, Buffer | string> = {},
  ): Promise<string> => {
    const { resolve, cache } = await fakeHub(t, {
      files: { ...small, "model.safetensors": model, ...files },
      listed,
    });
    const got = await resolve().then(
      () => "accepted",
      (error: Error) => `${error.name}: ${error.message}`,
    );
    const outside = (await readdir(cache, { recursive: true })).filter(
      (path) =>
        path !== "hub" && !/^hub\/models--org--tiny(\/(blobs|refs|snapshots)\b|$)/.test(path),
    );
    t.deepEqual(outside, []);
    return got.replace(/http:\/\/[\d.:]+/, "HUB");
  };
  const entry = (path: string): TreeEntry => ({ type: "file", path, size: 23, oid });
  t.is(
    await refused((entries) => [...entries, entry("../../evil"), entry("/etc/evil"), entry("..")]),
    "accepted",
    "other files are not looked at",
  );
  const changed = (change: object) => (entries: TreeEntry[]) =>
    entries.map((each) => (each.path === "config.json" ? { ...each, ...change } : each));
  const improper = "NetworkError: org/tiny: the hub gives no proper hash and size for config.json";
  t.is(await refused(changed({ oid: "../../../evil" })), improper);
  t.is(await refused(changed({ oid: 1 })), improper);
  t.is(await refused(changed({ size: -1 })), improper);
  t.is(await refused(changed({ size: "a" })), improper);
  t.is(await refused(changed({ lfs: { oid: "../x", size: 1 } })), improper);
  t.is(await refused(changed({ lfs: { oid, size: 1 } })), improper);
  for (const nonsense of [null, 3, { a: 1 }, [null], [{}]])
    t.regex(
      await refused(() => nonsense),
      /^(NetworkError: org\/tiny: HUB does not answer as the hub does|CheckpointError: org\/tiny: has no)/,
      JSON.stringify(nonsense),
    );
  const shards = async (name: string): Promise<string> =>
    refused((entries) => [...entries.filter(({ path }) => path !== "model.safetensors")], {
      "model.safetensors.index.json": JSON.stringify({ weight_map: { a: name } }),
    });
  for (const name of ["../../x.safetensors", "/etc/passwd", "..", "a\\b", "a/b"])
    t.regex(
      await shards(name),
      /^CheckpointError: .*index\.json: a: .* must be the plain name of a file in the same folder$/,
    );
  t.is(await shards("y.safetensors"), "CheckpointError: org/tiny: has no y.safetensors");
});

test("a revision that is no commit is not looked for", async (t) => {
  const { resolve, requests } = await fakeHub(t, {
    files: { ...small, "model.safetensors": await weights(t, 10) },
    instead: ({ url = "" }, response) => {
      if (url.includes("/revision/")) response.end('{"sha":"main"}');
      if (url.includes("/tree/")) response.end("[]");
      return true;
    },
  });
  await t.throwsAsync(resolve(), {
    instanceOf: NetworkError,
    message: /does not answer as the hub does: it names no commit$/,
  });
  t.is(requests.length, 1);
});

test("an endpoint that is no hub is told from one", async (t) => {
  let body = "<html>";
  let status = 200;
  const { resolve } = await fakeHub(t, {
    files: {},
    instead: (_, response) => {
      response.writeHead(status).end(body);
      return true;
    },
  });
  const noHub = {
    instanceOf: NetworkError,
    message: /^org\/tiny: http:\S+ does not answer as the/,
  };
  await t.throwsAsync(resolve(), noHub);
  body = '{"sha":"../../../x"}';
  await t.throwsAsync(resolve(), noHub);
  body = "null";
  await t.throwsAsync(resolve(), noHub);
  status = 204;
  await t.throwsAsync(resolve(), { instanceOf: NetworkError, message: /answered 204/ });
  for (const endpoint of ["huggingface.co", "file:///etc", "ftp://x", ""])
    await t.throwsAsync(resolveModel("a/b", { endpoint, env: {} }), {
      instanceOf: UsageError,
      message: `the hub's endpoint is an http or https URL, got "${endpoint}"`,
    });
});

test("the variables of Hugging Face's libraries are heeded", async (t) => {
  const home = homedir();
  t.is(hubCache({}), join(home, ".cache/huggingface/hub"));
  t.is(hubCache({ XDG_CACHE_HOME: "/xdg" }), "/xdg/huggingface/hub");
  t.is(hubCache({ HF_HOME: "~/hf", XDG_CACHE_HOME: "/xdg" }), join(home, "hf/hub"));
  t.is(hubCache({ HUGGINGFACE_HUB_CACHE: "/old", HF_HOME: "/hf" }), "/old");
  t.is(hubCache({ HF_HUB_CACHE: "/new", HUGGINGFACE_HUB_CACHE: "/old" }), "/new");
  const settings = await hubSettings({ env: { HF_ENDPOINT: "https://mirror.example/hf/" } });
  t.is(settings.endpoint.href, "https://mirror.example/hf");
  t.is((await hubSettings({ env: {} })).endpoint.href, "https://huggingface.co/");
  t.true((await hubSettings({ env: { HF_HUB_OFFLINE: "ON" } })).offline);
  t.false((await hubSettings({ env: { HF_HUB_OFFLINE: "0" } })).offline);
  t.false((await hubSettings({ env: { HF_HUB_OFFLINE: "1" }, offline: false })).offline);
});

const python = process.env.USER_LLM_PYTHON;
(python ? test : test.skip)("Python finds the model in the cache (USER_LLM_PYTHON)", async (t) => {
  const { resolve, cache } = await fakeHub(t, {
    files: { ...small, "model.safetensors": await weights(t, 10) },
  });
  const folder = await resolve();
  const script = `
import json, sys
from huggingface_hub import scan_cache_dir, snapshot_download
[repo] = scan_cache_dir(sys.argv[1]).repos
[revision] = repo.revisions
print(json.dumps([
  snapshot_download("org/tiny", cache_dir=sys.argv[1], local_files_only=True),
  repo.repo_id, revision.commit_hash, sorted(revision.refs), sorted(f.file_name for f in revision.files),
]))
`;
  const { stdout, stderr } = spawnSync(python!, ["-c", script, join(cache, "hub")], {
    encoding: "utf8",
  });
  t.deepEqual(stdout === "" ? stderr : JSON.parse(stdout), [
    folder,
    "org/tiny",
    commit,
    ["main"],
    ["config.json", "model.safetensors", "tokenizer.json"],
  ]);
});
