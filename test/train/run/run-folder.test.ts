/** The folder as a whole: what is in it, what may be replaced, who may have it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { parse } from "yaml";
import { RunFolder } from "../../../src/train/run/index.js";
import { start, temporary, trained } from "./temporary.js";

const script = fileURLToPath(new URL("create-run.ts", import.meta.url));
const json = async (path: string) => JSON.parse(await readFile(path, "utf8"));

test("a new run has all that tells how it was started", async (t) => {
  const path = join(await temporary(t), "some/where/run");
  const run = await RunFolder.create(path, {
    config: {
      text: "# mine\nseed: 7\n",
      resolved: { seed: 7, encoder: { kind: "sasrec", rate: Infinity } },
    },
    command: ["user-llm", "pretrain", "--name", "my run", "--hub-token", "s3cret"],
    environment: {
      data: { title: "MovieLens 1M", fingerprint: "abc" },
      hub: { url: "https://me:s3cret@host.org", token: "s3cret" },
    },
  });
  t.is(run.path, path);
  t.is(run.checkpoints, join(path, "checkpoints"));
  t.deepEqual((await readdir(path)).sort(), [
    ".lock",
    "checkpoints",
    "command.txt",
    "config.resolved.json",
    "config.yaml",
    "environment.json",
    "metrics.jsonl",
    "train.log",
  ]);
  t.is(await readFile(join(path, "config.yaml"), "utf8"), "# mine\nseed: 7\n");
  t.deepEqual(await json(join(path, "config.resolved.json")), {
    seed: 7,
    encoder: { kind: "sasrec", rate: "Infinity" },
  });
  t.is(
    await readFile(join(path, "command.txt"), "utf8"),
    "user-llm pretrain --name 'my run' --hub-token REDACTED\n",
  );
  const environment = await json(join(path, "environment.json"));
  t.like(environment, {
    format: "user-llm-run",
    v: 1,
    node: process.version,
    data: { title: "MovieLens 1M", fingerprint: "abc" },
    hub: { url: "https://REDACTED@host.org", token: "REDACTED" },
    resumed: [],
  });
  t.true(environment.addon.threads > 0 && environment.memoryBytes > 1e8);
  t.regex(environment.userLlm, /^\d+\.\d+\.\d+/);
  await run.close();
  await run.close();
  t.false((await readdir(path)).includes(".lock"));
});

test("without a file the configuration is written from its values", async (t) => {
  const path = join(await temporary(t), "run");
  await (await RunFolder.create(path, start)).close();
  t.deepEqual(parse(await readFile(join(path, "config.yaml"), "utf8")), start.config.resolved);
});

test("state and results are replaced whole; lines for people have neither colours nor secrets", async (t) => {
  const run = await RunFolder.create(join(await temporary(t), "run"), start);
  await run.writeState({ v: 1, step: 1, best: { value: Number.NaN } });
  await run.writeState({ v: 1, step: 2 });
  await run.writeResults({ test: { "ndcg@10": 0.1 } });
  run.note("\x1b[1mstep 1\x1b[0m\nof 2, hf_abcdefgh1234");
  await run.flush();
  t.deepEqual(await json(join(run.path, "trainer_state.json")), { v: 1, step: 2 });
  t.deepEqual(await json(join(run.path, "all_results.json")), { test: { "ndcg@10": 0.1 } });
  t.regex(
    await readFile(join(run.path, "train.log"), "utf8"),
    /^\d{4}-\S+Z step 1 of 2, REDACTED\n$/,
  );
  t.false((await readdir(run.path)).some((name) => name.endsWith(".tmp")));
  await run.close();
});

test("a run goes on where it was: the command line and the machine are added", async (t) => {
  const path = join(await temporary(t), "run");
  const run = await RunFolder.create(path, start);
  run.note("one");
  await run.close();
  await writeFile(join(path, "train.log"), `${await readFile(join(path, "train.log"), "utf8")}to`);
  await writeFile(join(path, ".trainer_state.json.0123456789ab.tmp"), "{");
  const again = await RunFolder.open(path, { command: ["user-llm", "pretrain", "--resume"] });
  again.note("two");
  await again.close();
  t.regex(await readFile(join(path, "train.log"), "utf8"), /^\S+Z one\n\S+Z two\n$/);
  t.is(
    await readFile(join(path, "command.txt"), "utf8"),
    "user-llm pretrain\nuser-llm pretrain --resume\n",
  );
  const { resumed } = await json(join(path, "environment.json"));
  t.is(resumed.length, 1);
  t.is(resumed[0].node, process.version);
  t.false((await readdir(path)).some((name) => name.endsWith(".tmp")));
});

test("nothing but a run is replaced, and that only when it is said", async (t) => {
  const folder = await temporary(t);
  const path = join(folder, "run");
  const run = await RunFolder.create(path, start);
  run.log(trained(1));
  await run.close();
  await t.throwsAsync(RunFolder.create(path, start), {
    name: "UsageError",
    message: `${path} holds a run already; resume it, overwrite it or name another folder`,
  });
  await writeFile(join(path, "notes.txt"), "mine");
  await t.throwsAsync(RunFolder.create(path, { ...start, overwrite: true }), {
    name: "DataError",
    message: `${path} also holds notes.txt, which would be lost; nothing was written`,
  });
  t.is(await readFile(join(path, "notes.txt"), "utf8"), "mine");
  t.not(await readFile(join(path, "metrics.jsonl"), "utf8"), "");
  await rm(join(path, "notes.txt"));
  await (await RunFolder.create(path, { ...start, overwrite: true })).close();
  t.is(await readFile(join(path, "metrics.jsonl"), "utf8"), "");

  const other = join(folder, "other");
  await mkdir(other);
  await writeFile(join(other, "environment.json"), "{}");
  for (const overwrite of [true, false]) {
    await t.throwsAsync(RunFolder.create(other, { ...start, overwrite }), {
      name: "DataError",
      message: `${other} is not empty and holds no files of a run; nothing was written`,
    });
  }
  t.deepEqual(await readdir(other), ["environment.json"]);
  await rm(join(other, "environment.json"));
  await (await RunFolder.create(other, start)).close();
  t.deepEqual((await readdir(folder)).sort(), ["other", "run"]);
});

test("places that cannot be written are named, with the reason", async (t) => {
  const folder = await temporary(t);
  const file = join(folder, "file");
  await writeFile(file, "");
  for (const path of [file, join(file, "run")]) {
    await t.throwsAsync(RunFolder.create(path, start), {
      name: "DataError",
      message: `${path}: cannot make the folder: it, or a folder above it, is a file`,
    });
  }
  if (process.getuid?.() === 0) {
    t.log("root may write anywhere");
    return;
  }
  await chmod(folder, 0o500);
  await t.throwsAsync(RunFolder.create(join(folder, "run"), start), {
    message: /permission denied/,
  });
  await chmod(folder, 0o700);
});

test("what is no run, or of another version, is not opened", async (t) => {
  const path = join(await temporary(t), "run");
  await t.throwsAsync(RunFolder.open(path), {
    name: "CheckpointError",
    message: `${path} is no run folder: it has no readable environment.json`,
  });
  await (await RunFolder.create(path, start)).close();
  const environment = join(path, "environment.json");
  for (const [text, message] of [
    ['{"format":"else"}', `${path} is no run folder: its environment.json is another's`],
    [
      '{"format":"user-llm-run","v":2}',
      `${environment}: a run of format version 2; this release reads 1`,
    ],
  ] as const) {
    await writeFile(environment, text);
    await t.throwsAsync(RunFolder.open(path), { name: "CheckpointError", message });
  }
  t.false((await readdir(path)).includes(".lock"));
});

test("a run with damaged metrics is not opened, and stays free", async (t) => {
  const path = join(await temporary(t), "run");
  await (await RunFolder.create(path, start)).close();
  await writeFile(join(path, "metrics.jsonl"), "?\n?\n");
  await t.throwsAsync(RunFolder.open(path), {
    name: "CheckpointError",
    message: /line 1: no metrics$/,
  });
  await rm(join(path, "metrics.jsonl"));
  await t.throwsAsync(RunFolder.open(path), {
    name: "DataError",
    message: /metrics.jsonl: cannot read/,
  });
  t.false((await readdir(path)).includes(".lock"));
});

test("a run that is in use is neither opened nor replaced", async (t) => {
  const path = join(await temporary(t), "run");
  const run = await RunFolder.create(path, start);
  const message = new RegExp(`${path} is in use by process ${process.pid} on `);
  await t.throwsAsync(RunFolder.open(path), { name: "UsageError", message });
  await t.throwsAsync(RunFolder.create(path, { ...start, overwrite: true }), {
    name: "UsageError",
    message,
  });
  run.log(trained(1));
  await run.close();
  t.not(await readFile(join(path, "metrics.jsonl"), "utf8"), "");
});

test("a disk that fails rejects what is awaited, and closing lets go all the same", async (t) => {
  const path = join(await temporary(t), "run");
  const run = await RunFolder.create(path, start);
  for (const name of ["metrics.jsonl", "trainer_state.json"]) {
    await rm(join(path, name), { force: true });
    await mkdir(join(path, name, "in the way"), { recursive: true });
  }
  run.log(trained(1));
  await t.throwsAsync(run.flush(), { name: "DataError", message: /metrics.jsonl: cannot write/ });
  await t.throwsAsync(run.writeState({}), {
    name: "DataError",
    message: /trainer_state.json: cannot write/,
  });
  await t.throwsAsync(run.close(), { name: "DataError" });
  t.deepEqual(
    (await readdir(path)).filter((name) => name.startsWith(".")),
    [],
  );
});

interface Started {
  readonly child: ChildProcess;
  readonly said: string;
}

async function startIn(t: ExecutionContext, ...args: string[]): Promise<Started> {
  const child = spawn(process.execPath, ["--import=tsx", script, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  const [said] = (await once(child.stdout!, "data")) as [Buffer];
  return { child, said: said.toString().trim() };
}

test("of processes that start in the same folder one gets it; killed, it is in nobody's way", async (t) => {
  const folder = await temporary(t);
  const path = join(folder, "run");
  const begun = await Promise.all([1, 2, 3].map(() => startIn(t, path)));
  const winners = begun.filter(({ said }) => said === "created");
  t.is(winners.length, 1, begun.map(({ said }) => said).join("\n"));
  for (const { said } of begun) t.regex(said, /^created$|in use by process|holds a run already/);
  t.regex((await startIn(t, path, "--overwrite")).said, /^UsageError: .* is in use by process \d+/);

  winners[0]!.child.kill("SIGKILL");
  await once(winners[0]!.child, "close");
  const both = await Promise.all([1, 2].map(() => startIn(t, path, "--overwrite")));
  t.is(
    both.filter(({ said }) => said === "created").length,
    1,
    both.map(({ said }) => said).join("\n"),
  );
  t.is((await readFile(join(path, "metrics.jsonl"), "utf8")).split("\n").length, 2);
  t.deepEqual(await readdir(folder), ["run"]);
});
