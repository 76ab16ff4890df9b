/** The command line as a whole: help, errors, exit codes, JSON. */

import { readFileSync } from "node:fs";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import test from "ava";
import { Cli } from "../../src/cli/action.js";
import { addAllCommands } from "../../src/cli/program.js";
import {
  CheckpointError,
  ConfigError,
  DataError,
  DeviceError,
  NativeError,
  NetworkError,
  RowError,
  UsageError,
} from "../../src/errors.js";
import { MemoryHost, runMain } from "./run-main.js";

const { version } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
) as { version: string };

/** Every command as its words: `["config", "check"]`. */
const commands = [...walk(allCommands(), [])];

for (const words of commands)
  test(`${words.join(" ")} --help has a description, its options and an example`, async (t) => {
    const { exitCode, stdout, stderr } = await runMain([...words, "--help"]);
    t.is(exitCode, 0);
    t.is(stderr, "");
    const [usage, , description] = stdout.split("\n");
    t.is(usage?.startsWith(`Usage: ${["user-llm", ...words].join(" ")}`), true, usage);
    t.regex(description ?? "", /^\S+ \w/);
    t.regex(stdout, /\n\s+--json +\w/);
    const example = new RegExp(`\n {2}\\$ user-llm ${words.join(" ")}`);
    t.regex(stdout, example);
    t.true(stdout.split("\n").every((line) => line.length <= 100));
  });

test("options are described, the parts of a command's arguments too", (t) => {
  for (const words of commands) {
    const command = find(allCommands(), words);
    for (const option of command.options) t.regex(option.description, /\w/, option.flags);
    for (const argument of command.registeredArguments) {
      t.regex(argument.description, /\w/, `${words.join(" ")} ${argument.name()}`);
    }
  }
});

test("--version is the package's, with the options of any place", async (t) => {
  for (const args of [["--version"], ["-V"], ["--json", "--version"]]) {
    t.deepEqual(await runMain(args), { exitCode: 0, stdout: `${version}\n`, stderr: "" });
  }
});

test("without a command the help is shown, as an error", async (t) => {
  for (const args of [[], ["config"]]) {
    const { exitCode, stdout, stderr } = await runMain(args);
    t.is(exitCode, 2);
    t.is(stdout, "");
    t.regex(stderr, /^Usage: user-llm/);
  }
});

test("without a command, --json gives a document all the same", async (t) => {
  const { exitCode, stdout } = await runMain(["config", "--json"]);
  t.is(exitCode, 2);
  t.is(stdout, '{"v":1,"error":{"code":"ERR_USAGE","message":"a command is missing"}}\n');
});

const wrong: [string[], string][] = [
  [["confg"], 'UsageError: unknown command "confg"; did you mean config?\n'],
  [["config", "chek"], 'UsageError: unknown command "chek"; did you mean check?\n'],
  [["doctor", "--jsn"], 'UsageError: unknown option "--jsn"; did you mean --json?\n'],
  [["config", "check"], 'UsageError: required option "-c, --config <file>" not specified\n'],
  [
    ["doctor", "now"],
    'UsageError: too many arguments for "doctor". Expected 0 arguments but got 1.\n',
  ],
];
for (const [args, message] of wrong)
  test(`user-llm ${args.join(" ")} is a usage error in a line`, async (t) => {
    t.deepEqual(await runMain(args), { exitCode: 2, stdout: "", stderr: message });
  });

test("--progress takes what it can", async (t) => {
  const { exitCode, stderr } = await runMain(["doctor", "--progress", "bar"]);
  t.is(exitCode, 2);
  t.regex(stderr, /argument "bar" is invalid. Allowed choices are auto, tty, plain, json, none/);
});

const failures: [string, unknown, number, string][] = [
  ["a usage error", new UsageError("both at once"), 2, "UsageError: both at once"],
  ["a configuration", new ConfigError("seed: ?"), 2, "ConfigError: seed: ?"],
  ["data", new DataError("x.csv: empty"), 3, "DataError: x.csv: empty"],
  [
    "a row",
    new RowError("x.csv", 4813, "rating", "expected a number", '"5O"'),
    3,
    'DataError: x.csv, line 4813, column "rating": expected a number, got "5O"',
  ],
  ["a checkpoint", new CheckpointError("w: torn"), 3, "CheckpointError: w: torn"],
  ["a device", new DeviceError("cuda: none"), 4, "DeviceError: cuda: none"],
  ["memory", new NativeError("full", { code: "ERR_OUT_OF_MEMORY" }), 4, "NativeError: full"],
  ["no addon", new NativeError("none", { code: "ERR_NATIVE_MISSING" }), 4, "NativeError: none"],
  ["an op", new NativeError("nan"), 1, "NativeError: nan"],
  ["the network", new NetworkError("refused"), 5, "NetworkError: refused"],
  [
    "the file system",
    Object.assign(new Error("ENOSPC: no space left on device, open '/x/y'"), {
      code: "ENOSPC",
      syscall: "open",
      path: "/x/y",
    }),
    1,
    "Error: /x/y: no space left on device (open)",
  ],
  [
    "an allocation",
    new RangeError("Array buffer allocation failed"),
    4,
    "OutOfMemory: Array buffer allocation failed",
  ],
  [
    "a fault of ours",
    new TypeError("x is not a function"),
    1,
    "InternalError: TypeError: x is not a function (a fault of user-llm; USER_LLM_DEBUG=1 shows where)",
  ],
  ["lines and escapes", new DataError("a\nb\x1b[2Jc"), 3, "DataError: a b\ufffd[2Jc"],
];
for (const [name, error, exitCode, line] of failures) {
  const addCommands = failing(error);
  test(`an error of ${name} is a line and exit code ${exitCode}`, async (t) => {
    const run = await runMain(["fail"], { addCommands });
    t.deepEqual(run, { exitCode, stdout: "", stderr: `${line}\n` });
  });
  test(`an error of ${name} with --json is a document too`, async (t) => {
    const { stdout, ...run } = await runMain(["--json", "fail"], { addCommands });
    t.deepEqual(run, { exitCode, stderr: `${line}\n` });
    const { v, error } = JSON.parse(stdout) as {
      v: number;
      error: { code: string; message: string };
    };
    t.is(v, 1);
    t.regex(error.code, /^E[A-Z_]+$/);
    t.true(line.endsWith(error.message));
    t.is(stdout.split("\n").length, 2);
  });
}

test("with --progress json an error is a JSON line on stderr", async (t) => {
  const addCommands = failing(new DataError("x.csv: empty"));
  const { stderr } = await runMain(["fail", "--progress", "json"], { addCommands });
  t.deepEqual(JSON.parse(stderr), {
    v: 1,
    event: "error",
    code: "ERR_DATA",
    message: "x.csv: empty",
    exitCode: 3,
  });
  const wrong = await runMain(["fial", "--progress=json", "--json"], { addCommands });
  t.like(JSON.parse(wrong.stderr), { event: "error", code: "ERR_USAGE" });
  t.like(JSON.parse(wrong.stdout), { v: 1, error: { code: "ERR_USAGE" } });
});

test("stacks are shown for USER_LLM_DEBUG=1 only, --quiet or not", async (t) => {
  const addCommands = failing(new DataError("x", { cause: new Error("deeper") }));
  const args = ["fail", "-q"];
  const { stderr } = await runMain(args, { addCommands, env: { USER_LLM_DEBUG: "1" } });
  t.regex(stderr, /^DataError: x\n[^]*\n {4}at .*program\.test\.ts[^]*cause[^]*deeper/);
  t.is((await runMain(args, { addCommands })).stderr, "DataError: x\n");
});

test("a result is text, or with --json one document and nothing else", async (t) => {
  const addCommands = giving({ users: 3, name: "n" });
  t.deepEqual(await runMain(["give"], { addCommands }), {
    exitCode: 0,
    stdout: "3 users\n",
    stderr: "looking\n",
  });
  t.deepEqual(await runMain(["give", "--json", "-q"], { addCommands }), {
    exitCode: 0,
    stdout: '{"v":1,"users":3,"name":"n"}\n',
    stderr: "",
  });
});

test("a reader that has gone is no failure", async (t) => {
  const host = new MemoryHost();
  const { main } = await import("../../src/cli/program.js");
  host.stdout.on("error", () => {});
  host.stdout._write = (_chunk, _encoding, done) =>
    done(Object.assign(new Error("write EPIPE"), { code: "EPIPE", syscall: "write" }));
  t.is(await main(["give", "-q"], host, giving({})), 0);
  t.is(host.stderr.read(), null);
});

test("a result that cannot be written is a failure", async (t) => {
  const host = new MemoryHost();
  const { main } = await import("../../src/cli/program.js");
  host.stdout.on("error", () => {});
  host.stdout._write = (_chunk, _encoding, done) =>
    done(
      Object.assign(new Error("ENOSPC: no space left on device, write"), {
        code: "ENOSPC",
        syscall: "write",
      }),
    );
  t.is(await main(["give", "-q"], host, giving({})), 1);
  t.is(String(host.stderr.read()), "Error: no space left on device (write)\n");
});

const colourful: [string, Record<string, string>, number | undefined, string[], boolean][] = [
  ["a terminal", {}, 80, [], true],
  ["a pipe", {}, undefined, [], false],
  ["NO_COLOR", { NO_COLOR: "1" }, 80, [], false],
  ["an empty NO_COLOR", { NO_COLOR: "" }, 80, [], true],
  ["--no-color", { FORCE_COLOR: "1" }, 80, ["--no-color"], false],
  ["a dumb terminal", { TERM: "dumb" }, 80, [], false],
  ["FORCE_COLOR in a pipe", { FORCE_COLOR: "1" }, undefined, [], true],
  ["FORCE_COLOR=0", { FORCE_COLOR: "0" }, 80, [], false],
  ["NO_COLOR and FORCE_COLOR", { NO_COLOR: "1", FORCE_COLOR: "1" }, 80, [], false],
];
for (const [name, env, columns, flags, expected] of colourful)
  test(`colours of errors and help with ${name}: ${expected}`, async (t) => {
    const failed = await runMain(["fail", ...flags], {
      env,
      columns,
      addCommands: failing(new UsageError("x")),
    });
    t.is(failed.stderr.includes("\x1b[31m"), expected);
    const help = await runMain(["--help", ...flags], { env, columns });
    t.is(help.stdout.includes("\x1b[1m"), expected);
  });

function failing(error: unknown) {
  return (program: CommandUnknownOpts, cli: Cli): void => {
    program.command("fail").action(
      cli.action((_context, _options) => {
        throw error;
      }),
    );
  };
}

function giving(document: object) {
  return (program: CommandUnknownOpts, cli: Cli): void => {
    program.command("give").action(
      cli.action(({ note }, _options) => {
        note("looking");
        return { document, text: "3 users\n" };
      }),
    );
  };
}

function allCommands(): CommandUnknownOpts {
  const program = new Command("user-llm");
  addAllCommands(program, new Cli(new MemoryHost()));
  return program;
}

function find(command: CommandUnknownOpts, words: readonly string[]): CommandUnknownOpts {
  return words.reduce<CommandUnknownOpts>(
    (group, word) => group.commands.find((child) => child.name() === word)!,
    command,
  );
}

function* walk(command: CommandUnknownOpts, words: string[]): Generator<string[]> {
  yield words;
  for (const child of command.commands) yield* walk(child, [...words, child.name()]);
}
