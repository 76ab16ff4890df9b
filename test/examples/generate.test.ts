import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";

const root = fileURLToPath(new URL("../../", import.meta.url));

test("a model goes on with a text", async (t) => {
  const args = ["--import=tsx", "examples/generate.ts", "test/golden/generation", "a cat"];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: root });
  t.is(stderr, "");
  const [text, shares] = stdout.split("\n\n");
  t.regex(text!, /^a cat[a-z ,.]+$/);
  const lines = shares!.trim().split("\n");
  t.is(lines.length, 5);
  const percent = lines.map((line) => Number(/^([\d.]+) % \S+$/.exec(line)![1]));
  t.deepEqual(
    percent,
    percent.toSorted((a, b) => b - a),
  );
});
