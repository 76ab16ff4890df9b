/** The same bits whatever the number of threads; right numbers with every instruction set. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import type { SweepResult } from "./sweep.js";

const program = fileURLToPath(new URL("sweep.ts", import.meta.url));

async function sweep(env: Record<string, string>): Promise<Record<string, SweepResult>> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--import=tsx", program], {
    env: { ...process.env, ...env },
    maxBuffer: 1 << 28,
  });
  return JSON.parse(stdout) as Record<string, SweepResult>;
}

const problemsOf = (results: Record<string, SweepResult>): string[] =>
  Object.entries(results).flatMap(([name, { problems }]) =>
    problems.map((problem) => `${name}: ${problem}`),
  );

test.serial("results do not depend on the number of threads", async (t) => {
  t.timeout(300_000);
  const one = await sweep({ USER_LLM_THREADS: "1" });
  t.deepEqual(problemsOf(one), []);
  for (const threads of ["2", "3"]) {
    const many = await sweep({ USER_LLM_THREADS: threads });
    t.deepEqual(Object.keys(many), Object.keys(one));
    const different = Object.keys(one).filter((name) => one[name]!.digest !== many[name]!.digest);
    t.deepEqual(different, [], `1 thread against ${threads}`);
  }
});

for (const isa of ["plain", "avx2"])
  test.serial(`cases pass with ${isa} kernels`, async (t) => {
    t.timeout(300_000);
    t.deepEqual(problemsOf(await sweep({ USER_LLM_ISA: isa })), []);
  });
