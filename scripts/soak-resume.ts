/**
 * Kills a training run again and again at random moments, and compares what comes out of it with a run left alone: the
 * weights, the state of the optimizer and every line of the log.
 *
 *     node --import=tsx scripts/soak-resume.ts [kills]          20 by default
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runKilled } from "../test/train/killed-runs.js";

const count = Number(process.argv[2] ?? 20);
const steps = 40 * count;
const root = await mkdtemp(join(tmpdir(), "user-llm-soak-"));
const random = (most: number): number => Math.floor(Math.random() * (most + 1));

try {
  const kills = Array.from({ length: count }, () => ({
    steps: 1 + random(20),
    delayMs: random(20),
  }));
  for (const name of ["alone", "killed"]) await mkdir(join(root, name));
  const alone = await runKilled(join(root, "alone"), steps, []);
  console.log(`${steps} steps without interruption: ${alone.last}`);
  const killed = await runKilled(join(root, "killed"), steps, kills);
  console.log(`${steps} steps, killed ${killed.killed} times: ${killed.last}`);
  const same = killed.last === alone.last && killed.metrics === alone.metrics;
  console.log(same ? "equal" : `not equal; kills: ${JSON.stringify(kills)}`);
  if (!same || killed.killed === 0) process.exitCode = 1;
} finally {
  await rm(root, { recursive: true });
}
