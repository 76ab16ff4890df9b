/** Signals: asked once, a command leaves things in order; asked twice, it quits. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import test from "ava";
import type { Cli } from "../../src/cli/action.js";
import { main } from "../../src/cli/program.js";
import { MemoryHost, written } from "./run-main.js";

const mainFile = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const patient = fileURLToPath(new URL("patient.ts", import.meta.url));

for (const [signal, exitCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)
  test(`${signal} aborts the action; the process ends with ${exitCode} once it has settled`, async (t) => {
    const { child, output } = await startPatient("tidy");
    child.kill(signal);
    t.deepEqual(await once(child, "close"), [exitCode, null]);
    t.regex(
      output(),
      new RegExp(
        `started\\n${signal}: stopping.*\\ntidied up\\nInterrupted: stopped by ${signal}\\n$`,
      ),
    );
  });

test("a second signal quits at once", async (t) => {
  const { child, output } = await startPatient("stubborn");
  child.kill("SIGINT");
  while (!output().includes("stopping")) await sleep(5);
  await sleep(400);
  child.kill("SIGINT");
  t.deepEqual(await once(child, "close"), [130, null]);
});

test.serial("a signal that npx passes on is not a second one", async (t) => {
  const host = new MemoryHost();
  await main(["work", "-q"], host, (program, cli) => {
    program.command("work").action(
      cli.action(async (_context, _options) => {
        host.interrupt("SIGINT");
        await sleep(20);
        host.interrupt("SIGINT");
        t.deepEqual(host.quits, []);
        await sleep(400);
        host.interrupt("SIGTERM");
        t.deepEqual(host.quits, [143]);
        return { document: {} };
      }),
    );
  });
});

test("work that was done all the same is shown, with the signal's exit code", async (t) => {
  const host = new MemoryHost();
  const addCommands = (program: CommandUnknownOpts, cli: Cli): void => {
    program.command("work").action(
      cli.action(({ signal }, _options) => {
        host.interrupt("SIGTERM");
        return { document: { aborted: signal.aborted } };
      }),
    );
  };
  t.is(await main(["work", "--json", "-q"], host, addCommands), 143);
  t.is(written(host.stdout), '{"v":1,"aborted":true}\n');
  t.is(written(host.stderr), "");
  t.is(host.listeners, 0);
});

test("an interrupted command with --json gives a document too, whoever noticed the signal", async (t) => {
  for (const own of [true, false]) {
    const host = new MemoryHost();
    const addCommands = (program: CommandUnknownOpts, cli: Cli): void => {
      program.command("work").action(
        cli.action(async ({ signal }, _options) => {
          host.interrupt("SIGINT");
          if (own) signal.throwIfAborted();
          await sleep(1e6, undefined, { signal }); // rejects with an AbortError
          return { document: {} };
        }),
      );
    };
    t.is(await main(["work", "--json", "-q"], host, addCommands), 130);
    t.is(
      written(host.stdout),
      '{"v":1,"error":{"code":"ERR_INTERRUPTED","message":"stopped by SIGINT"}}\n',
    );
  }
});

test("signals are watched during the action only", async (t) => {
  const host = new MemoryHost();
  let during = 0;
  await main(["work"], host, (program, cli) => {
    program.command("work").action(
      cli.action((_context, _options) => {
        during = host.listeners;
        throw new Error("x");
      }),
    );
  });
  t.is(during, 1);
  t.is(host.listeners, 0);
});

test("an interrupted preparation leaves nothing behind", async (t) => {
  const work = await mkdtemp(join(tmpdir(), "user-llm-interrupt-"));
  t.teardown(() => rm(work, { recursive: true }));
  const input = join(work, "events.csv");
  await writeFile(input, `user,item,time\n${"ana,cafe,1714554000\n".repeat(5e6)}`);
  const child = spawn(process.execPath, [
    ...["--import=tsx", mainFile, "data", "prepare", "--source", "table", "--input", input],
    ...["--time", "time", "--out", join(work, "out"), "--progress", "json"],
  ]);
  let text = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    if (!text.includes('"progress"') && chunk.includes('"progress"')) child.kill("SIGINT");
    text += chunk;
  });
  t.deepEqual(await once(child, "close"), [130, null]);
  const events = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as object);
  t.like(events.at(-2), { event: "end", complete: false });
  t.like(events.at(-1), { event: "error", code: "ERR_INTERRUPTED", message: "stopped by SIGINT" });
  t.deepEqual(await readdir(work), ["events.csv"]);
});

async function startPatient(mode: "tidy" | "stubborn") {
  const child = spawn(process.execPath, ["--import=tsx", patient, mode, "--progress=none"]);
  let text = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  while (!text.includes("started")) await sleep(5);
  return { child, output: () => text };
}
