/** Progress in its modes, on a clock of our own. */
import test from "ava";
import picocolors from "picocolors";
import { createReporter, type ProgressMode } from "../../src/cli/progress/reporter.js";
import type { Progress } from "../../src/progress.js";
import { MemoryHost, runMain, written } from "./run-main.js";

const bytes = (done: number, total?: number): Progress => ({
  task: "reading x.csv",
  done,
  total,
  unit: "bytes",
});

interface Setting {
  mode: ProgressMode;
  env?: Record<string, string>;
  columns?: number | undefined;
  quiet?: boolean;
  colour?: boolean;
}

function reporterOn({ mode, env, columns, quiet = false, colour = false }: Setting) {
  const host = new MemoryHost(env, columns);
  const clock = { ms: 0 };
  const colours = picocolors.createColors(colour);
  const reporter = createReporter(host, { mode, quiet, colours, now: () => clock.ms });
  return { reporter, clock, read: () => written(host.stderr) };
}

test("plain: a line at the start, every five seconds, and at the end", (t) => {
  const { reporter, clock, read } = reporterOn({ mode: "plain" });
  for (clock.ms = 0; clock.ms <= 12_000; clock.ms += 100) {
    reporter.onProgress(bytes(clock.ms * 1000, 24e6));
  }
  clock.ms = 12_100;
  reporter.onProgress({ task: "sorting", done: 0, unit: "rows" });
  reporter.close(true);
  t.is(
    read(),
    "reading x.csv\n" +
      "reading x.csv: 20 %, 5.00 MB of 24.0 MB, 1.00 MB/s, 19 s left\n" +
      "reading x.csv: 41 %, 10.0 MB of 24.0 MB, 1.00 MB/s, 14 s left\n" +
      "reading x.csv: 12.0 MB in 12 s, 1.00 MB/s\n" +
      "sorting\n",
  );
});

test("plain: what is given up has no end", (t) => {
  const { reporter, read } = reporterOn({ mode: "plain" });
  reporter.onProgress(bytes(1));
  reporter.close(false);
  t.is(read(), "reading x.csv\n");
});

test("plain: the rate is of the last ten seconds", (t) => {
  const { reporter, clock, read } = reporterOn({ mode: "plain" });
  let done = 0;
  for (clock.ms = 0; clock.ms <= 30_000; clock.ms += 500) {
    done += clock.ms < 15_000 ? 500 : 5;
    reporter.onProgress({ task: "training", done, total: 20_000, unit: "steps" });
  }
  t.regex(read(), /\n.*10.0 steps\/s, \d+ min \d\d s left\n$/);
});

test("tty: one line, drawn ten times a second at most, cleared at the end", (t) => {
  const { reporter, clock, read } = reporterOn({ mode: "tty", columns: 100 });
  for (clock.ms = 0; clock.ms < 1000; clock.ms += 1)
    reporter.onProgress(bytes(clock.ms * 1e5, 4e8));
  const frames = read().split("\r\x1b[K").slice(1);
  t.is(frames.length, 10);
  t.is(frames[0], "reading x.csv  ────────────────────  0 %  0 B of 400 MB");
  t.is(
    frames[9],
    "reading x.csv  ━━━━────────────────  22 %  90.0 MB of 400 MB  100 MB/s  3.1 s left",
  );
  reporter.note("half");
  t.is(read(), "\r\x1b[Khalf\n");
  reporter.onProgress(bytes(4e8, 4e8));
  reporter.close(true);
  t.true(read().endsWith("\r\x1b[K"));
  reporter.close(true);
  t.is(read(), "");
});

test("tty: a line is never wider than the terminal, and holds no control characters", (t) => {
  for (let columns = 2; columns < 120; columns++) {
    const { reporter, read } = reporterOn({ mode: "tty", columns });
    reporter.onProgress({
      task: "reading 映画\x1b[2J.csv",
      done: 5,
      total: 10,
      unit: "rows",
      values: { loss: 2.3 },
    });
    const [, frame = ""] = read().split("\r\x1b[K");
    t.regex(frame, /^[^\x00-\x1f]*$/);
    const wide = (frame.match(/[映画]/g) ?? []).length;
    t.true(frame.length + wide < columns, `${columns}: ${frame}`);
    if (columns > 80) t.true(frame.endsWith("50 %  5 of 10 rows  loss 2.3"));
  }
});

test("json: the beginning, ten lines a second, the end", (t) => {
  const { reporter, clock, read } = reporterOn({ mode: "json" });
  for (clock.ms = 0; clock.ms <= 250; clock.ms += 10) reporter.onProgress(bytes(clock.ms, 500));
  reporter.close(false);
  const events = read()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as object);
  const rest = { v: 1, task: "reading x.csv", total: 500, unit: "bytes" };
  t.deepEqual(events, [
    { ...rest, event: "begin", done: 0, seconds: 0 },
    { ...rest, event: "progress", done: 100, seconds: 0.1 },
    { ...rest, event: "progress", done: 200, seconds: 0.2 },
    { ...rest, event: "end", done: 250, seconds: 0.25, complete: false },
  ]);
});

test("json: notes and errors are events", (t) => {
  const { reporter, read } = reporterOn({ mode: "json" });
  reporter.note("a note");
  t.deepEqual(JSON.parse(read()), { v: 1, event: "note", message: "a note" });
});

test("none and --quiet show no progress; --quiet no notes either", (t) => {
  for (const [mode, quiet] of [
    ["none", false],
    ["plain", true],
    ["tty", true],
    ["json", true],
  ] as const) {
    const { reporter, read } = reporterOn({ mode, quiet });
    reporter.onProgress(bytes(1));
    reporter.note("a note");
    reporter.close(true);
    t.is(read(), quiet ? "" : "a note\n");
  }
});

const automatic: [string, Partial<Setting>, boolean][] = [
  ["a terminal", { columns: 80 }, true],
  ["a pipe", {}, false],
  ["CI", { columns: 80, env: { CI: "true" } }, false],
  ["a dumb terminal", { columns: 80, env: { TERM: "dumb" } }, false],
];
for (const [name, setting, drawn] of automatic)
  test(`auto with ${name}: ${drawn ? "a line that is drawn over" : "plain lines"}`, (t) => {
    const { reporter, read } = reporterOn({ mode: "auto", ...setting });
    reporter.onProgress(bytes(1));
    t.is(read().startsWith("\r\x1b[K"), drawn);
  });

test("a command's progress goes to stderr in the mode that was asked for", async (t) => {
  const { stdout, stderr } = await runMain(["work", "--progress", "json"], {
    addCommands(program, cli) {
      program.command("work").action(
        cli.action(({ onProgress }, _options) => {
          onProgress({ task: "t", done: 1, unit: "rows" });
          return { document: {}, text: "done\n" };
        }),
      );
    },
  });
  t.is(stdout, "done\n");
  const events = stderr
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { event: string }).event);
  t.deepEqual(events, ["begin", "end"]);
});
