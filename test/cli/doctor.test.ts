import test from "ava";
import type { Check } from "../../src/cli/doctor/check.js";
import { checkHub } from "../../src/cli/doctor/check-hub.js";
import { checkDisk, isAtLeast } from "../../src/cli/doctor/check-machine.js";
import { runMain } from "./run-main.js";

test("every part is checked, and what is not well has a remedy", async (t) => {
  const { exitCode, stdout } = await runMain(["doctor", "--json", "--measure"]);
  const { healthy, checks } = JSON.parse(stdout) as { healthy: boolean; checks: Check[] };
  t.is(exitCode, healthy ? 0 : 1);
  t.deepEqual(
    checks.map(({ name }) => name),
    [
      "user-llm",
      "node",
      "platform",
      "addon",
      "memory",
      "disk",
      "duckdb",
      "hyparquet",
      "hub",
      "cuda",
    ],
  );
  for (const { name, status, found, remedy } of checks) {
    t.regex(found, /^\S.*\S$/, name);
    t.is(remedy === undefined, status === "ok", name);
  }
  const addon = checks.find(({ name }) => name === "addon");
  t.like(addon, { status: "ok" });
  t.regex(String(addon?.details?.library), /\.node$/);
  t.true((addon?.details?.peak as { gflops: number }).gflops > 0);
});

test("as text it is a line for each part", async (t) => {
  const { stdout } = await runMain(["doctor"]);
  t.regex(stdout, /^ok {4}user-llm {2}\d+\.\d+\.\d+\n/);
  t.regex(
    stdout,
    /\nok {4}addon {5}\w+, bfloat16 by \w+, \d+ threads, not measured \(--measure\); .*\.node\n/,
  );
});

test.serial("of the hub it shows the cache, whether it is used, and never the token", async (t) => {
  const before = { ...process.env };
  t.teardown(() => {
    process.env = before;
  });
  process.env.HF_HUB_CACHE = "/models";
  process.env.HF_TOKEN = "hf_secret";
  process.env.HF_HUB_OFFLINE = "1";
  t.deepEqual(await checkHub(), {
    name: "hub",
    status: "ok",
    found: "offline, a token is set; models are cached in /models",
    details: {
      cache: "/models",
      endpoint: "https://huggingface.co",
      offline: true,
      token: true,
    },
  });
  process.env.HF_TOKEN = "hf_secret with spaces";
  const broken = await checkHub();
  t.is(broken.status, "fail");
  t.false(JSON.stringify(broken).includes("hf_secret"));
});

test("the disk of the current folder is looked at; a folder that is not there is a fault", async (t) => {
  const here = await checkDisk(".");
  t.true(here.found.endsWith(` free in ${process.cwd()}`));
  t.like(await checkDisk("/nowhere"), {
    status: "fail",
    remedy: "run user-llm in a folder that it may read",
  });
});

test("versions are compared by number", (t) => {
  t.true(isAtLeast("20.19.0", "20.19"));
  t.true(isAtLeast("20.20.2", "20.19"));
  t.true(isAtLeast("100.0.0", "20.19"));
  t.true(isAtLeast("22.0.0-nightly", "20.19"));
  t.false(isAtLeast("20.9.0", "20.19"));
  t.false(isAtLeast("18.99.0", "20.19"));
});
