/** The program as it is started: what it loads, what it does without the addon, and with a reader that goes away. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";

const mainFile = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const tracer = new URL("trace-imports.ts", import.meta.url).href;

for (const args of [["--help"], ["--version"], ["config", "resolve"], ["data", "--help"]])
  test(`user-llm ${args.join(" ")} loads neither the addon nor Arrow nor DuckDB`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "user-llm-imports-"));
    t.teardown(() => rm(folder, { recursive: true }));
    const log = join(folder, "log");
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--import=tsx", `--import=${tracer}`, mainFile, ...args],
      { env: { ...process.env, USER_LLM_TEST_IMPORTS: log, USER_LLM_NATIVE: "/nowhere.node" } },
    );
    t.not(stdout, "");
    const loaded = (await readFile(log, "utf8")).trim().split("\n");
    t.true(loaded.some((url) => url.endsWith("/cli/program.ts")));
    t.deepEqual(
      loaded.filter((url) => /native\.ts$|\/apache-arrow\/|\/@duckdb\//.test(url)),
      [],
    );
    const eager = /\/(zod|yaml|hyparquet)\//;
    if (args[0] !== "config")
      t.deepEqual(
        loaded.filter((url) => eager.test(url)),
        [],
      );
  });

test("doctor without the addon says so, how to build it, and fails", async (t) => {
  const child = await outcome(["doctor", "--json"], { USER_LLM_NATIVE: "/nowhere.node" });
  t.is(child.code, 1);
  t.is(child.stderr, "");
  const { healthy, checks } = JSON.parse(child.stdout) as {
    healthy: boolean;
    checks: { name: string; status: string; found: string; remedy?: string }[];
  };
  t.false(healthy);
  const failed = checks.filter(({ status }) => status === "fail");
  t.deepEqual(
    failed.map(({ name }) => name),
    ["addon"],
  );
  t.regex(failed[0]!.found, /^no native library for .*\/nowhere\.node \(absent\)/);
  t.is(failed[0]!.remedy, "npx user-llm build");
});

test("a pipe that is closed ends the program quietly", async (t) => {
  const child = spawn(process.execPath, ["--import=tsx", mainFile, "config", "schema"]);
  child.stdout.destroy();
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  t.deepEqual(await once(child, "close"), [0, null]);
  t.is(stderr, "");
});

test("exit codes and messages arrive", async (t) => {
  const child = await outcome(["config", "check", "-c", "/nowhere.yaml"]);
  t.deepEqual(child, {
    code: 2,
    stdout: "",
    stderr: "ConfigError: /nowhere.yaml: cannot be read (ENOENT)\n",
  });
});

async function outcome(args: string[], env: Record<string, string> = {}) {
  try {
    const result = await promisify(execFile)(
      process.execPath,
      ["--import=tsx", mainFile, ...args],
      {
        env: { ...process.env, FORCE_COLOR: "0", ...env },
      },
    );
    return { code: 0, ...result };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, stdout, stderr };
  }
}
