import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";

const root = fileURLToPath(new URL("../../", import.meta.url));

test("an encoder of one's own is trained and measured", async (t) => {
  const file = fileURLToPath(new URL("../../examples/own-encoder.ts", import.meta.url));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--import=tsx", file], {
    cwd: root,
  });
  t.is(stderr, "");
  const [own, popular] = stdout
    .trim()
    .split("\n")
    .map((line) => Number(/recall@10 (\S+)$/.exec(line)?.[1]));
  t.true(own! > 0 && popular! > 0, stdout);
});
