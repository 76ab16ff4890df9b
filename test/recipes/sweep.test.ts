import { access, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { layer, resolveConfig } from "../../src/config/index.js";
import { ConfigError, DataError, ShapeError, UsageError } from "../../src/errors.js";
import { configSchema } from "../../src/recipes/config.js";
import { type RunTrial, type SweepOptions, sweep } from "../../src/recipes/sweep.js";
import { program } from "../environment/program.js";
import { given, grid, random, sweepFile } from "./given-sweep.js";

const metric = "masked/ndcg@10";

async function place(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-sweep-"));
  t.teardown(() => rm(folder, { recursive: true }));
  return join(folder, "sweeps", "mine");
}

/** Fails where a layer has no dropout; otherwise better with less dropout and more layers. */
const fake: RunTrial = async ({ encoder }, folder) => {
  const { layers, dropout } = encoder as { layers: number; dropout: number };
  await mkdir(folder, { recursive: true });
  if (layers === 2 && dropout === 0) throw new ShapeError("heads 8 must divide width 100");
  return { validation: { [metric]: layers - dropout, loss: 1 }, steps: 100 * layers };
};

/** Runs the grid; `calls` are the numbers of the trials that were run. */
async function run(
  folder: string,
  options: Partial<SweepOptions> = {},
  section = grid,
): Promise<{ summary: Awaited<ReturnType<typeof sweep>>; calls: string[] }> {
  const { config, layers } = given(section);
  const { runTrial = fake, ...rest } = options;
  const calls: string[] = [];
  const summary = await sweep(config, {
    ...{ folder, layers },
    ...rest,
    runTrial: (trial, at, more) => {
      calls.push(`${at.slice(-3)}${more.resume ? " resumed" : ""}`);
      return runTrial(trial, at, more);
    },
  });
  return { summary, calls };
}

const json = async (...path: string[]): Promise<unknown> =>
  JSON.parse(await readFile(join(...path), "utf8"));

test("all trials are run; the best by validation is chosen, a bad combination noted", async (t) => {
  const folder = await place(t);
  const seen: string[] = [];
  const { summary, calls } = await run(folder, {
    onTrial: ({ number, status }, { budget }) =>
      void seen.push(`${number} ${status}, ${budget.remaining} to go`),
  });
  t.deepEqual(calls, ["001", "002", "003", "004", "005", "006"]);
  t.is(seen[3], "4 failed, 2 to go");
  t.like(summary.best, { number: 5, folder: "trial-005", value: 1.9, status: "finished" });
  t.deepEqual(summary.trials[3]!.error, {
    code: "ERR_SHAPE",
    message: "heads 8 must divide width 100",
  });
  t.like(summary.budget, { trials: 6, finished: 5, failed: 1, remaining: 0, steps: 700 });
  t.true(summary.budget.seconds > 0 && summary.budget.cpuSeconds >= 0);
  t.is(summary.card.selectedOn, "validation");
  t.is(summary.card.candidates, 5);
  t.deepEqual(await json(folder, "results.json"), JSON.parse(JSON.stringify(summary)));
  const best = resolveConfig(configSchema, [
    layer((await json(folder, "best.json")) as Record<string, unknown>, "best.json"),
  ]);
  t.like(best.encoder, { layers: 2, dropout: 0.1 });
});

test("finished trials are not run again, failed ones only when asked", async (t) => {
  const folder = await place(t);
  const first = await run(folder);
  const again = await run(folder, { resume: true });
  t.deepEqual(again.calls, []);
  t.deepEqual(again.summary, first.summary);
  const retried = await run(folder, { resume: true, retryFailed: true });
  t.deepEqual(retried.calls, ["004 resumed"]);
});

test("a sweep is not run over another without being asked to", async (t) => {
  const folder = await place(t);
  await run(folder);
  await t.throwsAsync(run(folder), {
    instanceOf: UsageError,
    message: `${folder} holds a sweep already; resume it, or name another folder`,
  });
  await t.throwsAsync(run(folder, { resume: true }, grid.replace("0.3", "0.4")), {
    instanceOf: ConfigError,
    message: `${join(folder, "trial-003.json")}: this trial was run with encoder.dropout = 0.3, now it is 0.4; another configuration needs a sweep of another name`,
  });
});

test("a random sweep goes on with more trials", async (t) => {
  const folder = await place(t);
  const small = random.replace("trials: 12", "trials: 3");
  await run(folder, {}, small);
  const { calls, summary } = await run(folder, { resume: true }, small.replace("3", "5"));
  t.deepEqual(calls, ["004", "005"]);
  t.is(summary.budget.finished, 5);
});

test("a signal ends the sweep; the trial that was cut short goes on where it was", async (t) => {
  const folder = await place(t);
  const controller = new AbortController();
  const stopped = run(folder, {
    signal: controller.signal,
    runTrial: async (config, at, options) => {
      if (!at.endsWith("2")) return fake(config, at, options);
      controller.abort(new UsageError("enough"));
      options.signal.throwIfAborted();
      throw new Error("unreachable");
    },
  });
  await t.throwsAsync(stopped, { message: "enough" });
  t.like(await json(folder, "results.json"), {
    budget: { finished: 1, failed: 0, remaining: 5 },
    best: { number: 1 },
  });
  t.like(await json(folder, "trial-002.json"), { status: "unfinished" });
  const { calls, summary } = await run(folder, { resume: true });
  t.deepEqual(calls, ["002 resumed", "003", "004", "005", "006"]);
  t.is(summary.budget.finished, 5);
});

test("time of earlier attempts counts", async (t) => {
  const folder = await place(t);
  await run(folder);
  const record = join(folder, "trial-002.json");
  const content = (await json(record)) as object;
  await writeFile(record, JSON.stringify({ ...content, status: "unfinished", seconds: 1000 }));
  const { summary, calls } = await run(folder, { resume: true });
  t.deepEqual(calls, ["002 resumed"]);
  t.true(summary.trials[1]!.seconds > 1000 && summary.budget.seconds > 1000);
});

test("what would meet every trial ends the sweep, and nothing is counted as failed", async (t) => {
  const folder = await place(t);
  const full = new DataError("runs/x: cannot write: no space is left on the disk");
  await t.throwsAsync(
    run(folder, {
      runTrial: async () => {
        throw full;
      },
    }),
    { is: full },
  );
  t.like(await json(folder, "results.json"), { budget: { failed: 0, remaining: 6 } });
});

test("a metric that nobody measures ends the sweep after a trial, which is not lost", async (t) => {
  const folder = await place(t);
  await t.throwsAsync(run(folder, {}, `metric: ndcg@10${grid}`), {
    instanceOf: ConfigError,
    message: `sweep.metric: ndcg@10 is not measured on validation data; there are ${metric}, loss`,
  });
  const { calls } = await run(folder, { resume: true });
  t.deepEqual(calls, ["002", "003", "004", "005", "006"]);
});

test("a training that diverged is no candidate", async (t) => {
  const folder = await place(t);
  const runTrial: RunTrial = async ({ encoder }) => ({
    validation: { [metric]: "layers" in encoder && encoder.layers === 2 ? Number.NaN : 0.1 },
    steps: 1,
  });
  await run(folder, { runTrial });
  const { summary, calls } = await run(folder, { resume: true, runTrial });
  t.deepEqual(calls, []);
  t.is(summary.best!.number, 1);
  t.is(summary.card.candidates, 3);
  t.is(summary.trials[5]!.value, Number.NaN);
});

test("progress names the trial", async (t) => {
  const tasks: string[] = [];
  await run(await place(t), {
    onProgress: ({ task }) => void tasks.push(task),
    runTrial: async (config, at, options) => {
      options.onProgress({ task: "training", done: 1, unit: "steps" });
      return fake(config, at, options);
    },
  });
  t.is(tasks[1], "trial 2 of 6: training");
});

test("a record that was tampered with is refused", async (t) => {
  const folder = await place(t);
  await run(folder);
  const record = join(folder, "trial-001.json");
  for (const text of ["{", "{}", '{"number":1,"status":"finished","config":{}}']) {
    await writeFile(record, text);
    await t.throwsAsync(run(folder, { resume: true }), { code: "ERR_CHECKPOINT" });
  }
});

test("after a kill, finished trials stay and the one that was running is resumed", async (t) => {
  const folder = await place(t);
  const module = (path: string) =>
    JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
  const yaml = sweepFile(grid);
  const { signal } = await program(`
    const { parseConfig, resolveConfig } = await import(${module("config/index.ts")});
    const { configSchema } = await import(${module("recipes/config.ts")});
    const { sweep } = await import(${module("recipes/sweep.ts")});
    const layers = [parseConfig(${JSON.stringify(yaml)}, "cfg.yaml")];
    await sweep(resolveConfig(configSchema, layers), {
      layers,
      folder: ${JSON.stringify(folder)},
      runTrial: async (config, at) => {
        if (at.endsWith("3")) process.kill(process.pid, "SIGKILL");
        return { validation: { "masked/ndcg@10": 1 }, steps: 1 };
      },
    });
  `);
  t.is(signal, "SIGKILL");
  await access(join(folder, "trial-002.json"));
  const { calls, summary } = await run(folder, { resume: true });
  t.deepEqual(calls, ["003 resumed", "004", "005", "006"]);
  t.is(summary.trials[0]!.value, 1);
});

test("two processes do not run one sweep", async (t) => {
  const folder = await place(t);
  await run(folder, {
    runTrial: async (config, at, options) => {
      if (at.endsWith("1"))
        await t.throwsAsync(run(folder, { resume: true }), {
          instanceOf: UsageError,
          message: /: process \d+ on .* is running this sweep$/,
        });
      return fake(config, at, options);
    },
  });
});
