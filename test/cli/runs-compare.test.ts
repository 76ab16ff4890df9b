/** What `runs compare` finds, and says, of runs, folders and files of rankings. */
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { width } from "../../src/cli/text.js";
import { comparePaired } from "../../src/evaluate/index.js";
import { slugOf, writeRankings } from "../../src/recipes/rankings.js";
import { RunFolder } from "../../src/train/run/index.js";
import { inventedResult, inventedWindows } from "../evaluate/invented-results.js";
import { runMain } from "./run-main.js";

const encoder = await inventedResult(inventedWindows(1, 20), { name: "sasrec" });
const baseline = await inventedResult(inventedWindows(2), { name: "most popular" });

const folder = async (t: ExecutionContext): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), "user-llm-compare-"));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
};

/** A run with the rankings of its encoder and of a baseline. */
async function makeRun(path: string, rankings = [encoder, baseline]): Promise<string> {
  const resolved = { encoder: { kind: "sasrec" } };
  const run = await RunFolder.create(path, { config: { resolved }, command: ["user-llm"] });
  if (rankings.length > 0) await writeRankings(join(path, "eval/test"), rankings);
  await run.close();
  return path;
}

const compare = (...args: string[]) => runMain(["runs", "compare", ...args]);

test("a run is compared with its baseline: the library's numbers, and their files", async (t) => {
  const run = await makeRun(join(await folder(t), "first"));
  const args = [run, run, "--ranker-b", "Most-Popular", "--metric", "recall@7", "--unmasked"];
  const { exitCode, stdout, stderr } = await compare(...args, "--json");
  t.is(exitCode, 0, stderr);
  const expected = await comparePaired(encoder, baseline, { metric: "recall@7", masked: false });
  t.deepEqual(JSON.parse(stdout), {
    v: 1,
    comparison: {
      ...expected,
      interval: [...expected.interval],
      a: { ...expected.a, file: join(run, "eval/test/sasrec.json") },
      b: { ...expected.b, file: join(run, "eval/test/most-popular.json") },
    },
  });
  const text = (await compare(...args)).stdout;
  t.regex(text, /^recall@7, unmasked\n\nsasrec +0\.\d{4}\nmost popular +0\.\d{4}\ndifference +\+/);
  t.regex(text, /\n95 % interval \+0\.\d{4} to \+0\.\d{4}, which excludes 0\np </);
});

test("encoders of one kind are told apart by their runs, in 80 columns", async (t) => {
  const place = await folder(t);
  const a = await makeRun(join(place, "wide"));
  const other = await inventedResult(inventedWindows(3, 30), { name: "sasrec" });
  const b = await makeRun(join(place, "narrow".repeat(30)), [other]);
  const { stdout } = await runMain(["runs", "compare", a, b], { columns: 80 });
  t.regex(
    stdout,
    /^ndcg@10, seen items masked\n\nsasrec of wide +0\.\d+\nsasrec of narrownarr\S+… +0/,
  );
  t.true(
    stdout.split("\n").every((line) => width(line) <= 80),
    stdout,
  );
  const { comparison } = JSON.parse((await compare(a, b, "--json")).stdout);
  t.is(comparison.a.ranker, "sasrec");
});

test("files and folders of rankings are compared as well as runs", async (t) => {
  const place = await folder(t);
  const run = await makeRun(join(place, "run"));
  await writeRankings(join(place, "one"), [baseline]);
  await writeRankings(join(place, "two"), [encoder, baseline]);
  const expected = (await compare(run, run, "--ranker-b", "most popular")).stdout;
  for (const [b, ...more] of [
    [join(place, "one")],
    [join(place, "one/most-popular.json")],
    [join(place, "two"), "--ranker-b", "most-popular"],
  ] as const)
    t.is((await compare(run, b, ...more)).stdout, expected);
});

test("validation rankings are found where eval is told to write them", async (t) => {
  const run = await makeRun(join(await folder(t), "run"));
  const none = await compare(run, run, "--part", "validation");
  t.is(none.exitCode, 2);
  const [, part, out] = /eval \S+ --part (\w+) --out (\S+)" writes them\n$/.exec(none.stderr) ?? [];
  t.is(part, "validation");
  await writeRankings(out!, [encoder]);
  t.is((await compare(run, run, "--part", "validation")).exitCode, 0);
});

test("unlike protocols are refused by what differs", async (t) => {
  const place = await folder(t);
  const run = await makeRun(join(place, "run"));
  const changed = {
    ...encoder,
    protocol: { ...encoder.protocol, part: "validation" as const, sampledUsers: 40 },
  };
  await writeRankings(place, [changed]);
  const { exitCode, stderr } = await compare(run, join(place, "sasrec.json"));
  t.is(exitCode, 2);
  t.regex(
    stderr,
    /^UsageError: sasrec of run and sasrec of sasrec.json do not compare, their protocols differ: part: test, validation; sampled users: all, 40\n$/,
  );
});

test("what cannot be compared is refused in a sentence", async (t) => {
  const place = await folder(t);
  const run = await makeRun(join(place, "run"));
  const file = join(run, "eval/test/sasrec.json");
  const bare = await makeRun(join(place, "bare"), []);
  const renamed = await makeRun(join(place, "renamed"), [baseline]);
  const lying = await makeRun(join(place, "lying"));
  await rename(join(lying, "eval/test/most-popular.json"), join(lying, "eval/test/sasrec.json"));
  await writeFile(join(lying, "eval/test/most-popular.json"), '{"format":"user-llm-ranking"');
  await mkdir(join(place, "empty"));
  for (const [args, exitCode, message] of [
    [[run, bare], 2, /bare has no rankings of test targets; "user-llm eval/],
    [[run, renamed], 2, /test has no ranking by sasrec; there are most-popular\n/],
    [[run, run, "--ranker-a", "mine"], 2, /no ranking by mine; there are most-popular, sasrec\n/],
    [[run, join(run, "eval/test")], 2, /has several rankings, name the ranker; there are most/],
    [[run, file, "--ranker-b", "x"], 2, /sasrec.json is a single ranking: there is no x/],
    [[run, join(place, "empty")], 2, /empty is no run, and holds no rankings\n/],
    [[run, join(place, "none")], 3, /none: cannot list the rankings: no such file or folder\n/],
    [[run, join(place, "none.json")], 3, /none.json: cannot read: no such file or folder\n/],
    [[run, lying, "--ranker-b", "most-popular"], 3, /most-popular.json/],
    [[run, run, "--metric", "masked/ndcg@10"], 2, /a metric is "mrr", "recall@k" or "ndcg@k"/],
    [[run, run, "--part", "train"], 2, /Allowed choices are validation, test/],
  ] as const) {
    const found = await compare(...args);
    t.is(found.exitCode, exitCode, found.stderr);
    t.regex(found.stderr, message);
    t.is(found.stdout, "");
  }
});

test("rankers give file names without spaces, cases and folders", (t) => {
  for (const [name, slug] of [
    ["most popular", "most-popular"],
    ["co-occurrence", "co-occurrence"],
    ["SASRec (width 64)", "sasrec-width-64"],
    ["../../etc/passwd", "etc-passwd"],
    ["пользователь №1", "пользователь-1"],
    ["..", "unnamed"],
  ] as const)
    t.is(slugOf(name), slug);
});
