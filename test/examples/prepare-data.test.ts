import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";

const root = fileURLToPath(new URL("../../", import.meta.url));

test("own events become batches", async (t) => {
  const file = fileURLToPath(new URL("../../examples/prepare-data.ts", import.meta.url));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--import=tsx", file], {
    cwd: root,
  });
  t.is(stderr, "");
  const lines = stdout.trim().split("\n");
  t.is(lines[0], "180 events of 3 users, 171 windows to train on");
  t.deepEqual(
    lines.slice(1, -1),
    [32, 32, 32, 32, 32, 11].map((size) => `items ${size} x 10, stars ${size} x 10`),
  );
  t.is(lines.at(-1), "what did ana do last? harbour");
});
