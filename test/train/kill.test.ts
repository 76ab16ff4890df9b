/** Processes that end by SIGKILL, at chosen calls while they save and at any time; scripts/soak-resume.ts does it longer. */
import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { type Kill, runKilled } from "./killed-runs.js";

const root = await realpath(await mkdtemp(join(tmpdir(), "user-llm-killed-")));
test.after.always(() => rm(root, { recursive: true }));

const steps = 80;
async function run(name: string, kills: readonly Kill[]) {
  const folder = join(root, name);
  await mkdir(folder);
  return await runKilled(folder, steps, kills);
}

const points = [
  /^mkdir .*\.tmp$/,
  /^rename .*model.*tmp$/,
  /^writeFile$/,
  /^rename .*step-\d+\.tmp$/,
  /^rename .*latest\.tmp$/,
  /^rename .*best\.tmp$/,
  /^rename .*step-\d+$/,
];

const random = (most: number): number => Math.floor(Math.random() * (most + 1));

test("a run that is killed has the weights and the log of one that is not", async (t) => {
  const whole = run("whole", []);
  const anytime = Array.from({ length: 5 }, () => ({ steps: 1 + random(7), delayMs: random(4) }));
  const [expected, saving, killed] = await Promise.all([
    whole,
    run(
      "saving",
      points.map((call) => ({ call })),
    ),
    run("anytime", anytime),
  ]);
  t.regex(expected.last, /^finished [0-9a-f]{64}$/);
  t.deepEqual(saving, { ...expected, killed: points.length });
  t.deepEqual(killed, { ...expected, killed: anytime.length }, JSON.stringify(anytime));
});
