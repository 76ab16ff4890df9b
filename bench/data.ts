/**
 * From a csv of MovieLens 20M's shape to batches: what each step takes of time and memory, beside the bars it is held to.
 *
 *     npm run bench -- data [--quick] [--rounds N] [--cache FOLDER] [--json FILE]
 */
import { execFile } from "node:child_process";
import { mkdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Figures, Given, WorkName } from "./data-work.js";
import { describeMachine, markdown, thisMachine, writeResults } from "./report.js";

export interface DataBenchOptions {
  /** A million rows instead of twenty. */
  quick: boolean;
  /** Every piece of work is done once a round. */
  rounds: number;
  /** Keeps the raw files, half a gigabyte, for the next time. Default: a folder of the system's temporary one. */
  cache?: string | undefined;
  json?: string | undefined;
}

/** Figures of every round. */
export type DataResults = Partial<Record<WorkName, Figures[]>>;

interface Bar {
  readonly aim: string;
  readonly work: WorkName;
  readonly figure: string;
  readonly unit: string;
  readonly atMost?: number;
  readonly atLeast?: number;
}

const prepareWorks = ["prepareInDuckDB", "prepareInMemory"] as const satisfies readonly WorkName[];
/** In this order, so that the later ones find a prepared set. */
const rounds: readonly WorkName[] = [
  "readFile",
  "countLines",
  "hashFile",
  ...prepareWorks,
  "open",
  "split",
  "loadPadded",
  "loadRagged",
];

const bars: readonly Bar[] = [
  {
    aim: "csv to prepared, built-in sorter",
    work: "prepareInMemory",
    figure: "seconds",
    unit: "s",
    atMost: 25,
  },
  { aim: "its memory", work: "prepareInMemory", figure: "peakMB", unit: "MB", atMost: 1000 },
  {
    aim: "csv to prepared, DuckDB at 512 MiB",
    work: "prepareInDuckDB",
    figure: "seconds",
    unit: "s",
    atMost: 20,
  },
  { aim: "opening a prepared set", work: "open", figure: "firstMs", unit: "ms", atMost: 50 },
  { aim: "all windows", work: "split", figure: "heldMB", unit: "MB", atMost: 200 },
  {
    aim: "loader, padded",
    work: "loadPadded",
    figure: "windowsPerSecond",
    unit: "windows/s",
    atLeast: 100_000,
  },
  {
    aim: "loader, ragged",
    work: "loadRagged",
    figure: "windowsPerSecond",
    unit: "windows/s",
    atLeast: 100_000,
  },
];

export async function benchData({
  quick,
  rounds: count,
  cache,
  json,
}: DataBenchOptions): Promise<void> {
  const preset = quick ? "ml-1m" : "ml-20m";
  const folder = cache ?? join(tmpdir(), "user-llm-bench");
  await mkdir(folder, { recursive: true });
  const given: Given = {
    raw: join(folder, `synthetic-${preset}`),
    prepared: join(folder, `prepared-${preset}`),
    preset,
  };
  const results: DataResults = {};
  if (!(await exists(given.raw))) results.generate = [await run("generate", given)];
  for (let round = 0; round < count; round++)
    for (const work of rounds) {
      if ((prepareWorks as readonly WorkName[]).includes(work))
        await rm(given.prepared, { recursive: true, force: true });
      console.error(`${work}, round ${round + 1} of ${count}`);
      (results[work] ??= []).push(await run(work, given));
    }
  await rm(given.prepared, { recursive: true });

  const fingerprints = prepareWorks.flatMap((work) => valuesOf(results[work]!, "fingerprint"));
  if (new Set(fingerprints).size > 1) throw new Error("the sorters gave different folders");

  const machine = thisMachine();
  console.log(`${describeMachine(machine)}; synthetic ${preset}\n`);
  console.log(markdown(barLines(results, quick)));
  console.log(`\n${markdown(figureLines(results))}`);
  if (json || !quick) writeResults("data", machine, { preset, ...results }, json);
}

const workFile = fileURLToPath(new URL("data-work.ts", import.meta.url));

/** Does a piece of work in a process of its own. */
async function run(work: WorkName, given: Given): Promise<Figures> {
  const args = ["--import=tsx", "--expose-gc", workFile, work, JSON.stringify(given)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout) as Figures;
}

/** Each bar beside the median of what was measured; of memory, the most. */
function barLines(results: DataResults, quick: boolean): string[][] {
  const lines = bars.map(({ aim, work, figure, unit, atMost, atLeast }) => {
    const values = valuesOf(results[work]!, figure);
    const value = figure === "peakMB" ? values.at(-1)! : values[values.length >> 1]!;
    const bar = atMost === undefined ? `>= ${shown(atLeast!)}` : `<= ${shown(atMost)}`;
    const met = atMost === undefined ? value >= atLeast! : value <= atMost;
    const verdict = quick ? "" : met ? "met" : "falls short";
    return [`${aim} ${bar} ${unit}`, `${shown(value)} ${unit}`, verdict];
  });
  return [["aim", "measured", quick ? "not at this size" : ""], ...lines];
}

/** Least, median and most of every figure. */
function figureLines(results: DataResults): string[][] {
  const lines = Object.entries(results).flatMap(([work, figures]) =>
    Object.keys(figures[0]!).map((figure) => {
      const values = valuesOf(figures, figure);
      return [
        work,
        figure,
        ...[0, values.length >> 1, values.length - 1].map((i) => shown(values[i]!)),
      ];
    }),
  );
  return [["work", "figure", "least", "median", "most"], ...lines];
}

const valuesOf = (figures: readonly Figures[], figure: string): number[] =>
  figures.map((one) => one[figure]!).sort((a, b) => a - b);

const shown = (value: number): string =>
  value >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
