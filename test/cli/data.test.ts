/** The commands of data, on small files in the genuine layouts. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { stringify } from "yaml";
import type { Manifest } from "../../src/data/manifest.js";
import { type Run, runMain } from "./run-main.js";

const fixtures = fileURLToPath(new URL("../data/fixtures/", import.meta.url));
const visits = fileURLToPath(new URL("../docs/files/", import.meta.url));

/** A folder that goes when the test ends. */
async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "user-llm-cli-"));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

const prepare = (...flags: string[]): Promise<Run> => runMain(["data", "prepare", "-q", ...flags]);
const documentOf = ({ stdout }: Run) => JSON.parse(stdout) as { v: 1; manifest: Manifest };

for (const [source, name] of [
  ["movielens", "movielens-csv"],
  ["movielens", "movielens-dat"],
  ["amazon", "amazon-2014"],
  ["amazon", "amazon-2018"],
  ["amazon", "amazon-2023"],
  ["google-local", "google-local"],
] as const)
  test(`${name}: prepared, described and valid`, async (t) => {
    const out = join(await folder(t), "prepared");
    const run = await prepare(
      "--source",
      source,
      "--input",
      join(fixtures, name),
      "--out",
      out,
      "--json",
    );
    t.is(run.exitCode, 0, run.stderr);
    t.is(run.stderr, "");
    const { counts } = documentOf(run).manifest;
    t.true(counts.events > 0);

    const info = await runMain(["data", "info", out, "--json", "-q"]);
    t.like(JSON.parse(info.stdout), { v: 1, folder: out, counts });
    const text = await runMain(["data", "info", out, "-q"]);
    t.regex(text.stdout, new RegExp(`\\n {2}events +${counts.events}\\n`));
    const valid = await runMain(["data", "validate", out, "--json", "-q"]);
    t.deepEqual(JSON.parse(valid.stdout), { v: 1, folder: out, valid: true, problems: [] });
    t.is(valid.exitCode, 0);
  });

test("an own table by flags and by a configuration gives the same folder", async (t) => {
  const work = await folder(t);
  const [byFlags, byFile] = [join(work, "a"), join(work, "b")];
  const flags = await prepare(
    ...["--source", "table", "--input", join(visits, "visits.csv"), "--out", byFlags],
    ...["--user", "userId", "--item", "placeId", "--time", "at", "--time-unit", "iso"],
    ...["--feature", "stars=ordinal", "--items", join(visits, "places.jsonl")],
    ...["--item-title", "name", "--item-feature", "kinds=bag"],
  );
  t.is(flags.exitCode, 0, flags.stderr);
  const config = {
    data: {
      source: "table",
      out: byFile,
      table: {
        events: {
          file: join(visits, "visits.csv"),
          user: "userId",
          item: "placeId",
          time: { column: "at", unit: "iso" },
          features: { stars: "ordinal" },
        },
        items: { file: join(visits, "places.jsonl"), title: "name", features: { kinds: "bag" } },
      },
    },
  };
  const file = join(work, "cfg.yaml");
  await writeFile(file, stringify(config));
  const configured = await prepare("-c", file);
  t.is(configured.exitCode, 0, configured.stderr);
  t.deepEqual(await contents(byFile), await contents(byFlags));
});

test("columns of a file without a header go by place", async (t) => {
  const work = await folder(t);
  const file = join(work, "events.txt");
  await writeFile(file, "ana::x::5::10\nben::y::4::11\nana::y::3::12\n");
  const run = await prepare(
    ...["--source", "table", "--input", file, "--out", join(work, "out"), "--json"],
    ...["--format", "csv", "--separator", "::", "--no-header"],
    ...["--user", "0", "--item", "1", "--time", "3", "--feature", "stars=ordinal:2"],
  );
  t.is(run.exitCode, 0, run.stderr);
  t.like(documentOf(run).manifest, {
    counts: { events: 3, users: 2, items: 2 },
    clock: { first: 10_000, last: 12_000 },
  });
});

test("--set, flags and the environment meet in one configuration, in that order", async (t) => {
  const work = await folder(t);
  const out = join(work, "out");
  const args = ["data", "prepare", "-q", "--set", "data.source=amazon", "--set", `data.out=${out}`];
  const given = ["--source", "movielens", "--input", join(fixtures, "movielens-csv")];
  const run = await runMain([...args, ...given], { env: { USER_LLM_SORTER: "memory" } });
  t.is(run.exitCode, 0, run.stderr);
  const wrong = await runMain([...args, ...given], { env: { USER_LLM_SORTER: "bubble" } });
  t.is(wrong.exitCode, 2);
  t.is(
    wrong.stderr,
    'ConfigError: USER_LLM_SORTER: data.sorter: expected "auto", "memory" or "duckdb", got "bubble"\n',
  );
});

test("a bad row is an error with its place and leaves nothing; with --on-error skip it is counted", async (t) => {
  const work = await folder(t);
  const input = join(work, "raw");
  const out = join(work, "out");
  await cp(join(fixtures, "movielens-csv"), input, { recursive: true });
  const ratings = await readFile(join(input, "ratings.csv"), "utf8");
  const lines = ratings.trimEnd().split("\n");
  await writeFile(join(input, "ratings.csv"), `${ratings.trimEnd()}\n1,1,5O,100\n`);
  const args = ["--source", "movielens", "--input", input, "--out", out];

  const failed = await prepare(...args);
  t.is(failed.exitCode, 3);
  const place = `line ${lines.length + 1}, column "rating": expected a number.*, got "5O"`;
  t.regex(failed.stderr, new RegExp(`^DataError: .*ratings\\.csv, ${place}\\n$`));
  t.deepEqual(await readdir(work), ["raw"]);

  const skipped = await prepare(...args, "--on-error", "skip", "--json");
  t.is(skipped.exitCode, 0, skipped.stderr);
  const { dropped } = documentOf(skipped).manifest;
  t.is(dropped.length, 1);
  t.is(dropped[0]?.rows, 1);
  const text = await prepare(...args, "--on-error", "skip", "--overwrite");
  t.regex(text.stdout, /\n {2}left out 1 rows: .*5O/);
});

test("prepared data is replaced with --overwrite only", async (t) => {
  const out = join(await folder(t), "out");
  const args = ["--source", "movielens", "--input", join(fixtures, "movielens-csv"), "--out", out];
  t.is((await prepare(...args)).exitCode, 0);
  const again = await prepare(...args);
  t.is(again.exitCode, 3);
  t.regex(again.stderr, /^DataError: .*out/);
  t.is((await prepare(...args, "--overwrite")).exitCode, 0);
});

const wrong: [string, string[], number, RegExp][] = [
  ["no source", ["--input", "x", "--out", "y"], 2, /^UsageError: give --source/],
  ["no folder to make", ["--source", "movielens", "--input", "x"], 2, /^UsageError: give --out/],
  ["no input", ["--source", "movielens", "--out", "y"], 2, /^ConfigError: data\.input is missing/],
  [
    "no input of a table",
    ["--source", "table", "--out", "y"],
    2,
    /^ConfigError: data\.input is missing/,
  ],
  [
    "columns of a dataset that has its own",
    ["--source", "movielens", "--input", "x", "--out", "y", "--user", "u"],
    2,
    /^ConfigError: data\.table is of the source table, not of movielens/,
  ],
  [
    "a name that no feature can have",
    ["--source", "table", "--input", "x", "--out", "y", "--feature", "Stars=ordinal"],
    2,
    /^ConfigError: flags of columns: data\.table\.events\.features\.Stars: a name has letters/,
  ],
  [
    "a unit that is none",
    ["--source", "table", "--input", "x", "--out", "y", "--time-unit", "fortnights"],
    2,
    /^ConfigError: flags of columns: data\.table\.events\.time\.unit: expected "seconds",/,
  ],
  [
    "a kind that is none",
    ["--feature", "stars=number"],
    2,
    /^UsageError: .*Expected name=kind or name=kind:column/,
  ],
  [
    "a size that is none",
    ["--memory-limit", "much"],
    2,
    /^UsageError: .*Expected a size, as 512MB/,
  ],
  [
    "an unknown source",
    ["--source", "netflix"],
    2,
    /^UsageError: .*Allowed choices are movielens,/,
  ],
  [
    "a folder that is not there",
    ["--source", "movielens", "--input", "/nowhere", "--out", "y"],
    3,
    /^DataError: \/nowhere: /,
  ],
];
for (const [name, flags, exitCode, message] of wrong)
  test(`prepare with ${name} is refused`, async (t) => {
    const run = await prepare(...flags);
    t.is(run.exitCode, exitCode);
    t.is(run.stdout, "");
    t.regex(run.stderr, message);
    t.is(run.stderr.split("\n").length, 2);
  });

test("a changed byte is found by validate, with exit code 3", async (t) => {
  const out = join(await folder(t), "out");
  await prepare("--source", "movielens", "--input", join(fixtures, "movielens-csv"), "--out", out);
  const file = join(out, "events.arrow");
  const bytes = await readFile(file);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(file, bytes);
  const run = await runMain(["data", "validate", out, "-q"]);
  t.is(run.exitCode, 3);
  t.regex(run.stdout, /^events\.arrow: its SHA-256 is/);
  const json = await runMain(["data", "validate", out, "-q", "--json"]);
  t.like(JSON.parse(json.stdout), { v: 1, valid: false });
  t.is(json.exitCode, 3);
});

test("info and validate of what is no prepared folder", async (t) => {
  const empty = join(await folder(t), "empty");
  await mkdir(empty);
  const info = await runMain(["data", "info", empty, "-q"]);
  t.is(info.exitCode, 3);
  t.regex(info.stderr, /^DataError: .*manifest\.json/);
  const valid = await runMain(["data", "validate", empty, "-q"]);
  t.is(valid.exitCode, 3);
});

test("synth: prepared data that is valid, and raw data that prepares to the same ratings", async (t) => {
  const work = await folder(t);
  const [made, raw, fromRaw] = [join(work, "made"), join(work, "raw"), join(work, "from-raw")];
  const synth = (...flags: string[]) =>
    runMain(["data", "synth", "-q", "--preset", "tiny", ...flags]);
  const first = await synth("--out", made, "--seed", "7", "--json");
  t.is(first.exitCode, 0, first.stderr);
  t.like(documentOf(first).manifest, { counts: { events: 2000, users: 50, items: 200 } });
  t.is((await runMain(["data", "validate", made, "-q"])).exitCode, 0);
  t.true((await readdir(made)).includes("synthetic.json"));

  t.is((await synth("--out", raw, "--seed", "7", "--raw")).exitCode, 0);
  const second = await prepare("--source", "movielens", "--input", raw, "--out", fromRaw, "--json");
  const ratings = ({ manifest }: { manifest: Manifest }) => ({
    ...manifest.counts,
    ...manifest.clock,
  });
  t.deepEqual(ratings(documentOf(second)), ratings(documentOf(first)));

  t.regex(
    (await synth("--out", raw, "--raw", "--overwrite")).stderr,
    /^UsageError: --overwrite is of/,
  );
  t.regex(
    (await synth("--out", made, "--row-order", "item")).stderr,
    /^UsageError: --row-order is of/,
  );
  const small = await synth("--out", join(work, "x"), "--events", "10");
  t.is(small.exitCode, 2);
  t.regex(small.stderr, /^ConfigError: synthetic: /);
});

test("download without a name lists what there is", async (t) => {
  const { stdout } = await runMain(["data", "download", "--json"]);
  const { datasets } = JSON.parse(stdout) as { datasets: { name: string; licence: string }[] };
  t.true(datasets.some(({ name }) => name === "ml-20m"));
  for (const { licence } of datasets) t.not(licence, "");
  const text = await runMain(["data", "download"]);
  t.regex(text.stdout, /^ml-latest-small +MovieLens latest-small\n/);
  t.regex(text.stdout, /\namazon-2023 +Amazon Reviews 2023 +--category, one of \d+\n/);
});

test("every sorter and memory limit gives the same folder", async (t) => {
  const work = await folder(t);
  const input = ["--source", "movielens", "--input", join(fixtures, "movielens-csv")];
  const ways = [[], ["--sorter", "memory"], ["--sorter", "duckdb"], ["--memory-limit", "512MiB"]];
  const found: Record<string, string>[] = [];
  for (const [i, flags] of ways.entries()) {
    const run = await prepare(...input, "--out", join(work, `${i}`), ...flags);
    t.is(run.exitCode, 0, run.stderr);
    found.push(await contents(join(work, `${i}`)));
  }
  for (const other of found) t.deepEqual(other, found[0]);
});

/** The bytes of every file of a folder but the manifest. */
async function contents(path: string): Promise<Record<string, string>> {
  const names = (await readdir(path)).filter((name) => name !== "manifest.json").sort();
  const files = await Promise.all(names.map((name) => readFile(join(path, name), "base64")));
  return Object.fromEntries(names.map((name, i) => [name, files[i]!]));
}
