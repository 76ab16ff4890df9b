/** What `runs ls` and `runs show` say of runs of every kind. */
import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { measure, moment, shortCount } from "../../src/cli/runs/phrases.js";
import { sparkline } from "../../src/cli/runs/sparkline.js";
import { width } from "../../src/cli/text.js";
import { RunFolder, type TrainerState } from "../../src/train/run/index.js";
import { runMain } from "./run-main.js";

interface Sample {
  readonly encoder?: string;
  readonly title?: string;
  readonly state?: Partial<TrainerState>;
  /** Left open: its process is there. */
  readonly open?: boolean;
}

const finished: TrainerState = {
  v: 1,
  state: "finished",
  step: 2000,
  steps: 2000,
  epoch: 4,
  best: { step: 1500, metric: "masked/ndcg@10", value: 0.1712 },
  startedAt: "2024-05-01T10:00:00.000Z",
  updatedAt: "2024-05-01T11:00:00.000Z",
  seconds: 3600,
};

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "user-llm-runs-"));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function makeRun(t: ExecutionContext, path: string, sample: Sample = {}): Promise<string> {
  const { encoder = "sasrec", title = "MovieLens 1M", state = {} } = sample;
  const run = await RunFolder.create(path, {
    config: {
      resolved: { seed: 7, encoder: { kind: encoder, layers: 2 }, data: { out: "prepared/x" } },
    },
    command: ["user-llm", "pretrain", "--name", "my run", "--token", "s3cret"],
    environment: { data: { title, fingerprint: "abcdef" }, model: { parameters: 254_208 } },
  });
  for (let step = 100; step <= 2000; step += 100) {
    run.log({ step, epoch: step / 500, split: "train", values: { loss: 8 - step / 1000 } });
    if (step % 500 !== 0) continue;
    const value = step === 1500 ? 0.1712 : step / 20_000;
    const values = { "masked/hit@10": 2 * value, "masked/ndcg@10": value };
    run.log({ step, epoch: step / 500, split: "validation", values });
  }
  await run.flush();
  await run.writeState({ ...finished, ...state });
  if (sample.open) t.teardown(() => run.close());
  else await run.close();
  return path;
}

const documentOf = ({ stdout }: { stdout: string }) => JSON.parse(stdout);

test("runs of every state are listed, the newest first, in 80 columns", async (t) => {
  const runs = join(await folder(t), "runs");
  await makeRun(t, join(runs, "done"));
  await makeRun(t, join(runs, "live"), {
    open: true,
    encoder: "autoregressive",
    title: "A title that is much longer than a terminal has room for",
    state: { state: "running", step: 12_000, steps: 250_000, startedAt: "2024-06-01T10:00:00Z" },
  });
  await makeRun(t, join(runs, "gone"), {
    state: { state: "running", step: 10, startedAt: "2024-05-02T10:00:00Z" },
  });
  await makeRun(t, join(runs, "sweep/width-64"), {
    state: { state: "stopped", step: 10, startedAt: "2023-05-02T10:00:00Z" },
  });
  await makeRun(t, join(runs, "sweep/width-128"), {
    state: {
      state: "failed",
      reason: "the loss is NaN",
      best: null,
      startedAt: "2022-05-02T10:00:00Z",
    },
  });
  await mkdir(join(runs, "notes"));

  const found = documentOf(await runMain(["runs", "ls", runs, "--json"]));
  t.is(found.v, 1);
  t.deepEqual(
    found.runs.map(({ name, state, step, data }: Record<string, unknown>) => [
      name,
      state,
      step,
      data,
    ]),
    [
      ["live", "running", 12_000, "A title that is much longer than a terminal has room for"],
      ["gone", "interrupted", 10, "MovieLens 1M"],
      ["done", "finished", 2000, "MovieLens 1M"],
      [join("sweep", "width-64"), "stopped", 10, "MovieLens 1M"],
      [join("sweep", "width-128"), "failed", 2000, "MovieLens 1M"],
    ],
  );
  t.deepEqual(found.runs[2].best, finished.best);
  t.is(found.runs[4].reason, "the loss is NaN");

  const { stdout, exitCode } = await runMain(["runs", "ls", runs], { columns: 80 });
  t.is(exitCode, 0);
  const lines = stripVTControlCharacters(stdout).split("\n");
  t.regex(lines[0]!, /^run +encoder +data +state +steps +best +started$/);
  t.regex(
    lines[1]!,
    /^live +autoreg\S*… +A title\S* ?\S*… +running +12k\/250k +0\.1712 +1 Jun 2024$/,
  );
  t.regex(lines[2]!, /^gone .* interrupted +10\/2,000 /);
  t.true(
    lines.slice(0, 6).every((line) => width(line) <= 80),
    stdout,
  );
  t.regex(
    lines.at(-2)!,
    /^5 runs in .*: 1 running, 1 interrupted, 1 finished, 1 stopped, 1 failed; best by masked\/ndcg@10$/,
  );
});

test("what all runs share is said once; metrics are named where they differ", async (t) => {
  const runs = await folder(t);
  await makeRun(t, join(runs, "a"));
  const other = { step: 1, metric: "recall@5", value: 0.5 };
  await makeRun(t, join(runs, "finished"), { state: { best: other } });
  const { stdout } = await runMain(["runs", "ls", runs]);
  t.regex(stdout, /^run +state +steps +best +started\n/);
  t.regex(stdout, /\nfinished +finished +2,000 +0.5000 recall@5 +1 May 2024\n/);
  t.regex(stdout, /2 finished; all: sasrec, MovieLens 1M\n$/);
});

test("names of runs are whole while there is room; what says less of a run goes first", async (t) => {
  const runs = await folder(t);
  const names = ["a-long-name-for-the-first-run", "a-long-name-for-the-first-run-2"];
  const long = { encoder: "autoregressive", title: "Amazon Reviews 2018" };
  await makeRun(t, join(runs, names[0]!), long);
  await makeRun(t, join(runs, names[1]!), {
    state: { state: "stopped", step: 12_345, steps: 250_000 },
  });
  const linesIn = async (columns: number) => {
    const { stdout } = await runMain(["runs", "ls", runs], { columns });
    return stripVTControlCharacters(stdout).split("\n").slice(0, 3);
  };
  t.regex((await linesIn(120)).join("\n"), /autoregressive +Amazon Reviews 2018 /);
  for (const [columns, header] of [
    [90, /^run +encoder +data +state/],
    [80, /^run +encoder +state/],
    [74, /^run +state/],
  ] as const) {
    const lines = await linesIn(columns);
    t.regex(lines[0]!, header);
    t.true(
      lines.every((line) => width(line) <= columns),
      lines.join("\n"),
    );
    t.deepEqual(
      lines
        .slice(1)
        .map((line) => line.split(" ")[0])
        .sort(),
      names,
    );
  }
  t.true((await linesIn(56)).every((line) => width(line) <= 56));
});

test("a folder without runs says so; one that is not there is an error", async (t) => {
  const runs = await folder(t);
  t.is((await runMain(["runs", "ls", runs])).stdout, `no runs in ${runs}\n`);
  const missing = await runMain(["runs", "ls", join(runs, "none")]);
  t.is(missing.exitCode, 3);
  t.is(
    missing.stderr,
    `DataError: ${join(runs, "none")}: cannot list the runs: no such file or folder\n`,
  );
});

test("a run is shown whole", async (t) => {
  const path = await makeRun(t, join(await folder(t), "first"));
  const run = await RunFolder.open(path, { command: ["user-llm", "pretrain", "--resume"] });
  await run.writeResults({ test: { masked: { "ndcg@10": 0.16998 } }, users: 6040 });
  for (const step of [1500, 2000]) {
    await mkdir(join(run.checkpoints, `step-${step}`));
    await writeFile(join(run.checkpoints, `step-${step}`, "model.safetensors"), Buffer.alloc(1500));
  }
  await writeFile(join(run.checkpoints, "best"), "step-1500\n");
  await writeFile(join(run.checkpoints, "latest"), "step-2000\n");
  await run.close();

  const { stdout, exitCode, stderr } = await runMain(["runs", "show", path], { columns: 80 });
  t.is(exitCode, 0);
  t.is(stderr, "");
  const text = stripVTControlCharacters(stdout);
  for (const expected of [
    /^first {2}finished\n/,
    /\n {2}encoder {2}sasrec, 254,208 parameters\n/,
    /\n {2}data {5}MovieLens 1M, abcdef\n/,
    /\n {2}steps {4}2,000, 4 epochs, 1 h 00 min\n/,
    /\n {2}best {5}masked\/ndcg@10 0.1712, step 1,500\n/,
    /\nConfiguration\n {2}seed {5}7\n {2}encoder {2}kind sasrec, layers 2\n/,
    /\n {2}train loss {17}[▁-█]{20} {2}7.9 → 6\n/,
    /\n {2}validation masked\/ndcg@10 {2}▁▂█▅ {2}0.0250 → 0.1000\n/,
    /\n +step +epoch +masked\/ndcg@10 +masked\/hit@10\n/,
    /\n +1,500 +3.0 +0.1712 +0.3424 +best\n/,
    /\nResults\n {2}test.masked.ndcg@10 +0.1700\n {2}users +6040\n/,
    /\nCheckpoints\n {2}step-1500 {2}1.50 kB {2}best\n {2}step-2000 {2}1.50 kB {2}latest\n/,
    /\nCommands\n {2}user-llm pretrain --name 'my run' --token REDACTED\n {2}user-llm pretrain --resume\n$/,
  ]) {
    t.regex(text, expected);
  }
  t.false(text.includes("warning"), text);
  t.true(
    text.split("\n").every((line) => width(line) <= 80),
    text,
  );

  const { run: shown } = documentOf(await runMain(["runs", "show", path, "--json"]));
  t.like(shown, { records: 24, warnings: [], results: { users: 6040 } });
  t.deepEqual(
    shown.latest.map(({ split, step }: Record<string, unknown>) => [split, step]),
    [
      ["train", 2000],
      ["validation", 2000],
    ],
  );
  t.deepEqual(shown.checkpoints[0], {
    name: "step-1500",
    step: 1500,
    bytes: 1500,
    latest: false,
    best: true,
  });
  t.false(JSON.stringify(shown).includes("s3cret"));
});

test("a run that has only begun is shown and listed", async (t) => {
  const runs = await folder(t);
  const run = await RunFolder.create(join(runs, "new"), {
    config: {
      resolved: { encoder: { kind: "custom", name: "mine" }, data: { out: "prepared/ml" } },
    },
    command: ["user-llm"],
  });
  const { stdout } = await runMain(["runs", "show", run.path]);
  t.regex(stdout, /^new {2}running\n/);
  t.regex((await runMain(["runs", "ls", runs])).stdout, /\nnew +mine +ml +running +\S+\n/);
  await run.close();
  t.regex(
    (await runMain(["runs", "show", run.path])).stdout,
    /its process ended without a word; resume it/,
  );
});

const damages: [string, (path: string) => Promise<unknown>, RegExp][] = [
  [
    "a broken state",
    (path) => writeFile(join(path, "trainer_state.json"), "{"),
    /trainer_state.json is no JSON/,
  ],
  [
    "a state of another shape",
    (path) => writeFile(join(path, "trainer_state.json"), '{"v":1,"state":"asleep"}'),
    /trainer_state.json: state: expected one of running, finished, stopped, failed/,
  ],
  [
    "a broken environment",
    (path) => writeFile(join(path, "environment.json"), "{"),
    /no readable environment.json/,
  ],
  [
    "no configuration",
    (path) => rm(join(path, "config.resolved.json")),
    /config.resolved.json cannot be read/,
  ],
  [
    "a list as configuration",
    (path) => writeFile(join(path, "config.resolved.json"), "[]"),
    /expected an object/,
  ],
  ["no metrics", (path) => rm(join(path, "metrics.jsonl")), /metrics.jsonl is missing/],
];
for (const [name, damage, message] of damages)
  test(`${name} makes a run damaged, and hides nothing else`, async (t) => {
    const runs = await folder(t);
    await makeRun(t, join(runs, "good"));
    const path = await makeRun(t, join(runs, "bad"));
    await damage(path);
    const found = documentOf(await runMain(["runs", "ls", runs, "--json"]));
    const states = found.runs
      .map((run: Record<string, unknown>) => `${run.name} ${run.state}`)
      .sort();
    t.deepEqual(states, ["bad damaged", "good finished"]);
    const shown = await runMain(["runs", "show", path]);
    t.is(shown.exitCode, 0, shown.stderr);
    t.regex(shown.stdout, /^bad {2}damaged/);
    t.regex(shown.stdout, message);
    t.regex(shown.stdout, /\nCommand\n/);
  });

for (const [file, text, message] of [
  ["metrics.jsonl", "?\n?\n", /metrics.jsonl, line 1: no metrics/],
  ["checkpoints/best", "somewhere\n", /expected the name of a checkpoint/],
  ["all_results.json", "[", /all_results.json is no JSON/],
] as const)
  test(`a broken ${file} is told of by show`, async (t) => {
    const path = await makeRun(t, join(await folder(t), "run"));
    await writeFile(join(path, file), text);
    const { run } = documentOf(await runMain(["runs", "show", path, "--json"]));
    t.is(run.summary.state, "damaged");
    t.regex(run.warnings.join("\n"), message);
  });

test("files of any content crash neither command", async (t) => {
  const runs = await folder(t);
  const path = await makeRun(t, join(runs, "run"));
  const file = fc.constantFrom(
    ..."trainer_state.json config.resolved.json metrics.jsonl all_results.json command.txt .lock".split(
      " ",
    ),
  );
  const content = fc.oneof(
    fc.json(),
    fc.string({ unit: "binary" }),
    fc.json().map((text) => `{"v":1,"data":${text},"encoder":${text}}\n`),
  );
  await fc.assert(
    fc.asyncProperty(file, content, async (name, text) => {
      await writeFile(join(path, name), text);
      for (const args of [
        ["ls", runs],
        ["show", path],
      ]) {
        const { exitCode, stderr, stdout } = await runMain(["runs", ...args], { columns: 80 });
        t.is(exitCode, 0, stderr);
        t.notRegex(stripVTControlCharacters(stdout), /[\u0000-\u0009\u000b-\u001f]|NaN:|undefined/);
      }
    }),
    { numRuns: 60 },
  );
});

test("environments of any content crash neither command", async (t) => {
  const runs = await folder(t);
  const path = await makeRun(t, join(runs, "run"));
  await fc.assert(
    fc.asyncProperty(fc.object(), async (facts) => {
      const text = JSON.stringify({ format: "user-llm-run", v: 1, ...facts, resumed: [facts] });
      await writeFile(join(path, "environment.json"), text);
      t.is((await runMain(["runs", "ls", runs])).exitCode, 0);
      const shown = await runMain(["runs", "show", path]);
      t.is(shown.exitCode, 0, shown.stderr);
    }),
    { numRuns: 40 },
  );
  for (const key of [
    "processor",
    "addon",
    "git",
    "data",
    "split",
    "model",
    "startedAt",
    "userLlm",
  ]) {
    for (const value of [null, 7, "x", {}, []]) {
      const text = JSON.stringify({ format: "user-llm-run", v: 1, [key]: value });
      await writeFile(join(path, "environment.json"), text);
      const shown = await runMain(["runs", "show", path]);
      t.is(shown.exitCode, 0, `${key} ${JSON.stringify(value)}: ${shown.stderr}`);
    }
  }
});

test("rankings among the results are a table", async (t) => {
  const path = await makeRun(t, join(await folder(t), "run"));
  const part = (mean: number) => ({
    "recall@5": { mean: 0, interval: null },
    "recall@10": { mean, interval: null },
    "ndcg@10": { mean: mean / 2, interval: [0, 1] },
    mrr: { mean: 0, interval: null },
  });
  const ranking = (ranker: string, mean: number) => ({
    ranker,
    metrics: { all: { masked: part(mean), unmasked: part(mean / 4) } },
  });
  const run = await RunFolder.open(path);
  const test = [ranking("sasrec", 0.3), ranking("most popular", 0.04)];
  await run.writeResults({ best: { step: 1500 }, test, users: 6040 });
  await run.close();
  const { stdout } = await runMain(["runs", "show", path], { columns: 80 });
  t.true(
    stripVTControlCharacters(stdout).includes(
      `
Results
                masked              unmasked
  test          recall@10  ndcg@10  recall@10  ndcg@10
  sasrec        0.3000     0.1500   0.0750     0.0375
  most popular  0.0400     0.0200   0.0100     0.0050
  users  6040
`,
    ),
    stdout,
  );
});

test("what is no run is not shown", async (t) => {
  const path = await folder(t);
  const { exitCode, stderr } = await runMain(["runs", "show", path]);
  t.is(exitCode, 3);
  t.is(stderr, `CheckpointError: ${path} is no run folder\n`);
});

test("a loss that is not finite and another processor are warned of", async (t) => {
  const path = await makeRun(t, join(await folder(t), "run"));
  const run = await RunFolder.open(path, { command: ["user-llm"] });
  run.log({ step: 2100, epoch: 5, split: "train", values: { loss: Number.NaN } });
  await run.close();
  const environment = documentOf(await runMain(["runs", "show", path, "--json"])).run.environment;
  environment.resumed[0].addon.isa = "other";
  await writeFile(join(path, "environment.json"), JSON.stringify(environment));
  const past = new Date(0);
  await utimes(path, past, past);
  const { stdout } = await runMain(["runs", "show", path]);
  t.regex(stdout, /\nwarning: the loss is not finite from step 2100\n/);
  t.regex(stdout, /\nwarning: it was resumed on a processor with other instructions\n/);
});

test("sparklines keep to their columns and rise where the values do", (t) => {
  t.is(sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8), "▁▂▃▄▅▆▇█");
  t.is(sparkline([1, 1, 8, 8], 2), "▁█");
  t.is(sparkline([3, 3, 3], 10), "▅▅▅");
  t.is(sparkline([0, Number.NaN, 1], 3), "▁·█");
  t.is(sparkline([Number.NaN], 3), "·");
  t.is(sparkline([], 3), "");
  fc.assert(
    fc.property(
      fc.array(fc.double(), { minLength: 1 }),
      fc.integer({ min: 1, max: 80 }),
      (values, columns) => {
        t.is(sparkline(values, columns).length, Math.min(columns, values.length));
      },
    ),
  );
});

test("numbers and times are short", (t) => {
  t.deepEqual([0, 9999, 10_000, 12_345, 999_499, 999_500, 25e6].map(shortCount), [
    "0",
    "9,999",
    "10k",
    "12k",
    "999k",
    "1.0M",
    "25M",
  ]);
  t.deepEqual(
    [0, 0.17236, 6.51234, 123.456, 254_208, 1e-3, 1e-5, 1e9, Number.NaN, -0.5].map(measure),
    ["0", "0.1724", "6.512", "123.5", "254,208", "0.0010", "1.00e-5", "1.00e+9", "NaN", "-0.5000"],
  );
  const now = new Date(2024, 4, 7, 12, 0);
  const at = (...parts: [number, number, number, number, number]) =>
    moment(new Date(...parts).toISOString(), now);
  t.is(at(2024, 4, 7, 9, 5), "09:05");
  t.is(at(2024, 3, 30, 9, 5), "30 Apr 09:05");
  t.is(at(2023, 11, 31, 9, 5), "31 Dec 2023");
  t.is(moment("soon", now), "");
  t.is(moment(null, now), "");
});
