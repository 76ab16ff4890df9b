import { execFile } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import test from "ava";
import type { Cli } from "../../src/cli/action.js";
import { main } from "../../src/cli/program.js";
import { generate, LanguageModel } from "../../src/generate/index.js";
import { testModel } from "../tokenizers/real-model.js";
import { MemoryHost, runMain, written } from "./run-main.js";

const llm = fileURLToPath(new URL("../golden/generation", import.meta.url));
const mainFile = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const args = ["generate", "--llm", llm, "--prompt"];

test.serial("the answer goes to stdout, what else there is to say to stderr", async (t) => {
  using model = await LanguageModel.load(llm);
  const [answer] = await generate(model, "a");
  const { exitCode, stdout, stderr } = await runMain([...args, "a"]);
  t.is(exitCode, 0, stderr);
  t.is(stdout, `${answer!.text}\n`);
  t.regex(stderr, /^(reading .*\n)+\d+ tokens after 1 in [\d.]+ s, [\d.e+]+ tokens\/s\n$/);
  t.is((await runMain([...args, "a", "-q"])).stderr, "");
});

test.serial("--json prints one document", async (t) => {
  using model = await LanguageModel.load(llm);
  for (const [flags, options] of [
    [[], {}],
    [["--beams", "3"], { beams: 3 }],
    [
      ["--temperature", "0.9", "--top-k", "9", "--top-p", "0.8", "--min-p", "0.01", "--seed", "4"],
      { temperature: 0.9, topK: 9, topP: 0.8, minP: 0.01, seed: 4 },
    ],
    [
      ["--repetition-penalty", "1.3", "--stop", "k", "--stop", "."],
      { repetitionPenalty: 1.3, stop: ["k", "."] },
    ],
  ] as const) {
    const [expected] = await generate(model, "a", { ...options, maxNewTokens: 9 });
    const command = [...args, "a", "--max-new-tokens", "9", "--json", ...flags];
    const { exitCode, stdout, stderr } = await runMain(command);
    t.is(exitCode, 0, stderr);
    const { v, ids, seconds, tokensPerSecond, tokens, ...rest } = JSON.parse(stdout);
    t.is(v, 1);
    t.deepEqual({ ...rest, ids: Int32Array.from(ids) }, expected);
    t.is(tokens, ids.length);
    t.true(Math.abs(tokensPerSecond * seconds - tokens) < 1e-6);
  }
});

test.serial("a stream on a terminal has no progress in it", async (t) => {
  const { stdout, stderr } = await runMain([...args, "a"], { columns: 80 });
  t.regex(stdout, /^[a-z ,.]+\n$/);
  t.regex(stderr, /\r\x1b\[K\d+ tokens after 1 in .*\n$/);
});

test.serial("what a model says cannot command a terminal", async (t) => {
  const said = "one\r\n\ttwo \x1b[2J\x9b2J é\n";
  const addCommands = (program: CommandUnknownOpts, cli: Cli): void => {
    program.command("say").action(
      cli.action(async ({ write }, _options) => {
        t.true(await write(said));
        return { document: {} };
      }),
    );
  };
  t.is((await runMain(["say"], { addCommands })).stdout, said);
  const shown = await runMain(["say"], { addCommands, columns: 80 });
  t.is(shown.stdout, "one\n\ttwo \ufffd[2J\ufffd2J é\n");
});

test("a prompt comes from standard input, without the end of its last line", async (t) => {
  const child = execFile(process.execPath, ["--import=tsx", mainFile, ...args, "-", "--json"]);
  child.stdin!.end("some other hat\n");
  let stdout = "";
  child.stdout!.on("data", (chunk: string) => {
    stdout += chunk;
  });
  await once(child, "close");
  using model = await LanguageModel.load(llm);
  const [expected] = await generate(model, "some other hat");
  t.is(JSON.parse(stdout).text, expected!.text);
});

for (const [flags, exitCode, message] of [
  [["--temperature", "-1"], 2, /temperature must be from 0/],
  [["--temperature", "hot"], 2, /Expected a number/],
  [["--max-new-tokens", "1.5"], 2, /Expected a whole number/],
  [["--beams", "2", "--temperature", "1"], 2, /give beams, 2, or a temperature, 1, not both/],
  [["--system", "x"], 2, /--system needs --chat/],
  [["--dtype", "int8"], 2, /Allowed choices are float32, bfloat16/],
] as const)
  test.serial(`refused: ${flags.join(" ")}`, async (t) => {
    const run = await runMain([...args, "a", ...flags]);
    t.is(run.exitCode, exitCode);
    t.is(run.stdout, "");
    t.regex(run.stderr, message);
  });

test.serial("a message is put in the model's chat template, if it has one", async (t) => {
  using model = await LanguageModel.load(llm);
  const messages = [
    { role: "system", content: "be a cat" },
    { role: "user", content: "once upon a time" },
  ];
  const [expected] = await generate(model, messages);
  const chat = ["--chat", "--system", "be a cat", "--json"];
  const { stdout } = await runMain([...args, "once upon a time", ...chat]);
  t.deepEqual(JSON.parse(stdout).ids, [...expected!.ids]);

  const folder = await mkdtemp(join(tmpdir(), "user-llm-generate-"));
  t.teardown(() => rm(folder, { recursive: true }));
  await cp(llm, folder, { recursive: true });
  await rm(join(folder, "chat_template.jinja"));
  const run = await runMain(["generate", "--llm", folder, "--prompt", "the hat", "--chat"]);
  t.is(run.exitCode, 2);
  t.regex(run.stderr, /has no chat template/);
});

test.serial("a folder without a model, and an id that is not in the cache", async (t) => {
  const folder = fileURLToPath(new URL(".", import.meta.url));
  const nothing = await runMain(["generate", "--llm", folder, "--prompt", "a"]);
  t.is(nothing.exitCode, 3, nothing.stderr);
  const env = { HF_HUB_CACHE: "/nowhere" };
  const offline = ["generate", "--llm", "no/model", "--prompt", "a", "--offline"];
  const absent = await runMain(offline, { env });
  t.is(absent.exitCode, 5, absent.stderr);
  t.regex(absent.stderr, /no\/model: the cache, \/nowhere, has no revision "main" of it/);
});

test.serial("Ctrl-C ends the answer with a whole line, and 130", async (t) => {
  const host = new MemoryHost();
  let stdout = "";
  host.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
    host.interrupt("SIGINT");
  });
  t.is(await main([...args, "a"], host), 130);
  t.regex(stdout, /^[a-z]{1,6}\n$/); // of a longer answer
  t.regex(written(host.stderr), /SIGINT: stopping.*\nInterrupted: stopped by SIGINT\n$/);
});

testModel(
  "user-llm generate goes on with a story",
  "tinystories-instruct-3m-hf",
  async (t, folder) => {
    const story = ["generate", "--llm", folder, "--prompt", "Once upon a time"];
    const command = [mainFile, ...story, "--max-new-tokens", "30"];
    const { stdout } = await promisify(execFile)(process.execPath, ["--import=tsx", ...command]);
    t.regex(stdout, /^, there was a little girl named Lily\. She was very brave .*\n$/s);
  },
);
