import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { addSweepCommand } from "../../src/cli/sweep.js";
import { ShapeError } from "../../src/errors.js";
import type { RunTrial } from "../../src/recipes/sweep.js";
import { grid, sweepFile } from "../recipes/given-sweep.js";
import { type Run, runMain } from "./run-main.js";

const trial: RunTrial = async ({ encoder }) => {
  const { layers, dropout } = encoder as { layers: number; dropout: number };
  if (layers === 1 && dropout === 0.3) throw new ShapeError("heads 8 must divide width 100");
  return { validation: { "masked/ndcg@10": layers / 10 - dropout / 7 }, steps: 1000 * layers };
};

async function work(t: ExecutionContext): Promise<(...args: string[]) => Promise<Run>> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-sweep-"));
  t.teardown(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "cfg.yaml"), sweepFile(grid));
  return (...args) =>
    runMain(["sweep", "-c", join(folder, "cfg.yaml"), "--out", join(folder, "mine"), ...args], {
      addCommands: (program, cli) => addSweepCommand(program, cli, async () => trial),
    });
}

test("sweep prints the trials, the best first, their costs, and what the choice was made on", async (t) => {
  const sweep = await work(t);
  const { exitCode, stdout, stderr } = await sweep();
  t.is(exitCode, 0, stderr);
  const lines = stdout.split("\n");
  t.regex(lines[0]!, /^trial +encoder.layers +encoder.dropout +masked\/ndcg@10 +steps +time$/);
  t.regex(lines[1]!, /^trial-004 +2 +0 +0.2000 +2,000 +\d/);
  t.regex(lines[6]!, /^trial-003 +1 +0.3 +failed +0 +\d/);
  t.is(lines[8], "trial-003 failed: heads 8 must divide width 100");
  t.regex(
    lines[10]!,
    /^5 of 6 trials finished, 1 failed, 0 to go: 8,000 steps in .* of processors$/,
  );
  t.regex(lines[11]!, /^best: trial-004, configuration in .*mine\/best.json$/);
  t.is(
    lines[12],
    "Trials were compared by masked/ndcg@10 on validation data; no test data was read.",
  );
  t.regex(stderr, /trial 3 of 6: failed: heads 8 must divide width 100; best 0.1000, of trial 1\n/);
});

test("sweep --json gives the summary; a second time wants --resume", async (t) => {
  const sweep = await work(t);
  const document = JSON.parse((await sweep("--json")).stdout) as Record<string, unknown>;
  t.like(document, { v: 1, metric: "masked/ndcg@10", best: { number: 4 }, budget: { failed: 1 } });
  const again = await sweep();
  t.is(again.exitCode, 2);
  t.regex(again.stderr, /holds a sweep already; resume it, or name another folder/);
  t.is((await sweep("--resume")).exitCode, 0);
});

test("sweep --dry-run lists the trials and makes nothing", async (t) => {
  const sweep = await work(t);
  const { exitCode, stdout } = await sweep("--dry-run");
  t.is(exitCode, 0);
  t.is(stdout.split("\n").length, 8);
  t.regex(stdout, /^trial +encoder.layers +encoder.dropout\n +1 +1 +0\n/);
  t.is((await sweep()).exitCode, 0);
});

test("a configuration without a sweep is refused", async (t) => {
  const { exitCode, stderr } = await runMain(["sweep", "--out", "nowhere"], {
    addCommands: (program, cli) => addSweepCommand(program, cli, async () => trial),
  });
  t.is(exitCode, 2);
  t.regex(stderr, /sweep is missing: what to vary, and how/);
});
