import type { RunSummary } from "../../train/run/run-summary.js";
import type { Colours } from "../colour.js";
import { table } from "../table.js";
import { count, truncate, visible, width } from "../text.js";
import { measure, moment, stateColour, stepsText } from "./phrases.js";

export interface ListView {
  readonly colours: Colours;
  /** Of the terminal; undefined where lines may be as long as they like. */
  readonly columns: number | undefined;
  readonly now: Date;
}

interface Column {
  readonly title: string;
  readonly cells: readonly string[];
  /** Columns of a terminal that it keeps when there are too few of them. */
  readonly least?: number;
}

/** What `runs ls` shows. What all runs share is said once, below. */
export function describeRuns(folder: string, runs: readonly RunSummary[], view: ListView): string {
  if (runs.length === 0) return `no runs in ${visible(folder)}\n`;
  const { colours, columns: available = Number.POSITIVE_INFINITY, now } = view;
  const texts = (of: (run: RunSummary) => string | null) =>
    runs.map((run) => visible(of(run) ?? ""));
  const metrics = new Set(runs.flatMap(({ best }) => best?.metric ?? []));
  const sharedMetric = metrics.size === 1 ? [...metrics][0]! : undefined;
  const best = ({ best }: RunSummary) =>
    best === null
      ? ""
      : `${measure(best.value)}${sharedMetric === undefined ? ` ${best.metric}` : ""}`;
  const all: Column[] = [
    { title: "run", cells: texts(({ name }) => name) },
    { title: "encoder", cells: texts(({ encoder }) => encoder), least: 7 },
    { title: "data", cells: texts(({ data }) => data), least: 7 },
    { title: "state", cells: texts(({ state }) => state) },
    { title: "steps", cells: texts(stepsText) },
    { title: "best", cells: texts(best) },
    { title: "started", cells: texts(({ startedAt }) => moment(startedAt, now)) },
  ];
  const isShared = ({ title, cells }: Column) =>
    ["encoder", "data"].includes(title) && runs.length > 1 && new Set(cells).size === 1;
  const shown = fit(
    all.filter((column) => !isShared(column) && column.cells.some((cell) => cell !== "")),
    available,
  );
  const rows = runs.map((_, i) => shown.map(({ cells }) => cells[i]));
  const lines = table(rows, { header: shown.map(({ title }) => title) }).split("\n");
  const painted = lines.map((line, i) => {
    if (i === 0) return colours.bold(line);
    const state = runs[i - 1]?.state;
    return state === undefined ? line : paint(line, state, colours);
  });
  const shared = all.filter(isShared).flatMap(({ cells }) => (cells[0] === "" ? [] : [cells[0]!]));
  const notes = [
    ...(shared.length > 0 ? [`all: ${shared.join(", ")}`] : []),
    ...(sharedMetric === undefined ? [] : [`best by ${visible(sharedMetric)}`]),
  ];
  const summary = [countStates(folder, runs), ...notes].join("; ");
  return `${painted.join("\n")}\n${colours.dim(summary)}\n`;
}

/**
 * Makes a table fit. Names are what runs are known by: before one of them is cut, the columns that say the least of a run
 * are cut, then left out.
 */
function fit(columns: readonly Column[], available: number): readonly Column[] {
  const without = (...titles: string[]) => columns.filter(({ title }) => !titles.includes(title));
  const [name, ...others] = without("data", "encoder");
  const choices = [columns, without("data"), without("data", "encoder")].map((chosen) =>
    cut(chosen, available),
  );
  const fitting = choices.find((chosen) => totalWidth(chosen) <= available);
  return fitting ?? cut([{ ...name!, least: 12 }, ...others], available);
}

/** Takes from the widest of the columns that may be cut until all fit, if they can. */
function cut(columns: readonly Column[], available: number): readonly Column[] {
  const widths = columns.map(widthOf);
  let excess = totalWidth(columns) - available;
  for (; excess > 0; excess--) {
    const spare = widths.map((space, i) => (space > (columns[i]!.least ?? space) ? space : 0));
    const widest = spare.indexOf(Math.max(...spare));
    if (spare[widest] === 0) break;
    widths[widest]!--;
  }
  return columns.map((column, i) => ({
    ...column,
    cells: column.cells.map((cell) => truncate(cell, widths[i]!)),
  }));
}

const widthOf = ({ title, cells }: Column): number => Math.max(...[title, ...cells].map(width));

const totalWidth = (columns: readonly Column[]): number =>
  columns.reduce((sum, column) => sum + widthOf(column) + 2, -2);

/** Colours the state, which is the last such word: a name may hold it too. */
function paint(line: string, state: RunSummary["state"], colours: Colours): string {
  const at = line.lastIndexOf(`  ${state}`) + 2;
  const end = at + state.length;
  return `${line.slice(0, at)}${stateColour(state, colours)(state)}${line.slice(end)}`;
}

function countStates(folder: string, runs: readonly RunSummary[]): string {
  const states = new Map<string, number>();
  for (const { state } of runs) states.set(state, (states.get(state) ?? 0) + 1);
  const counts = [...states].map(([state, number]) => `${count(number)} ${state}`);
  const noun = runs.length === 1 ? "run" : "runs";
  return `${count(runs.length)} ${noun} in ${visible(folder)}: ${counts.join(", ")}`;
}
