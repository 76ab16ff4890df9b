import type { TrialRecord } from "../recipes/sweep-records.js";
import type { Trial } from "../recipes/sweep-space.js";
import type { SweepSummary, TrialLine } from "../recipes/sweep-summary.js";
import type { Colours } from "./colour.js";
import { type Cell, table } from "./table.js";
import { count, duration, visible } from "./text.js";

/** What `sweep` says when it is over: the trials, the best first, and what they cost. */
export function describeSweep(folder: string, summary: SweepSummary, colours: Colours): string {
  const { metric, trials, best, budget, card } = summary;
  const options = [...new Set(trials.flatMap(({ values }) => Object.keys(values)))];
  const header = ["trial", ...options, metric, "steps", "time"];
  const rows = trials
    .filter(({ status }) => status !== "planned")
    .sort(byValue)
    .map(({ folder: name, values, steps, seconds, ...line }): Cell[] => [
      name,
      ...options.map((option) => String(values[option])),
      outcome(line),
      steps,
      duration(seconds),
    ]);
  const failures = trials.flatMap(({ folder: name, error }) =>
    error ? [`${name} failed: ${visible(error.message)}\n`] : [],
  );
  const { finished, failed, remaining, steps, seconds, cpuSeconds } = budget;
  return [
    table(rows, { header }),
    ...(failures.length > 0 ? ["\n", ...failures] : []),
    `\n${finished} of ${budget.trials} trials finished, ${failed} failed, ${remaining} to go: `,
    `${count(steps)} steps in ${duration(seconds)}, ${duration(cpuSeconds)} of processors\n`,
    ...(best
      ? [`${colours.bold(`best: ${best.folder}`)}, configuration in ${visible(folder)}/best.json\n`]
      : []),
    ...card.notes.map((note) => `${note}\n`),
  ].join("");
}

const outcome = ({ status, value }: Pick<TrialLine, "status" | "value">): string =>
  value === undefined ? status : value.toFixed(4);

/** Highest first, then those without a value, in their order. */
function byValue(a: TrialLine, b: TrialLine): number {
  const rank = ({ value = Number.NaN }: TrialLine) => (Number.isNaN(value) ? -Infinity : value);
  const [left, right] = [rank(a), rank(b)];
  return left === right ? a.number - b.number : right - left;
}

/** A line on a trial that is over. */
export function describeTrial(
  { number, status, validation, error }: TrialRecord,
  { metric, best, budget }: SweepSummary,
): string {
  const value = validation?.[metric];
  const what =
    status === "failed" ? `failed: ${visible(error!.message)}` : `${metric} ${value?.toFixed(4)}`;
  const leader = best ? `; best ${best.value.toFixed(4)}, of trial ${best.number}` : "";
  return `trial ${number} of ${budget.trials}: ${what}${leader}`;
}

/** The trials that would be run. */
export function describePlan(trials: readonly Trial[]): string {
  const options = Object.keys(trials[0]?.values ?? {});
  return table(
    trials.map(({ number, values }) => [
      number,
      ...options.map((option) => String(values[option])),
    ]),
    { header: ["trial", ...options] },
  );
}
