import { type TrialRecord, type TrialStatus, trialName } from "./sweep-records.js";
import type { Trial, TrialValues } from "./sweep-space.js";

/** A trial in the summary of its sweep. */
export interface TrialLine {
  readonly number: number;
  /** Of its run, within that of the sweep. */
  readonly folder: string;
  readonly values: TrialValues;
  readonly status: TrialStatus | "planned";
  /** Of the metric that trials are chosen by. */
  readonly value?: number;
  readonly error?: { readonly code: string; readonly message: string };
  readonly steps: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** What a sweep has cost so far. */
export interface SweepBudget {
  /** In all. */
  readonly trials: number;
  readonly finished: number;
  readonly failed: number;
  /** Still to run, or to finish. */
  readonly remaining: number;
  /** Optimizer steps. */
  readonly steps: number;
  /** By the clock. */
  readonly seconds: number;
  /** Of all cores together. */
  readonly cpuSeconds: number;
}

/** How a sweep stands: `results.json` of its folder. */
export interface SweepSummary {
  readonly format: "user-llm-sweep";
  readonly version: 1;
  readonly metric: string;
  /** What a reader has to know of the choice. */
  readonly card: {
    readonly selectedOn: "validation";
    /** Trials that the best was chosen from. */
    readonly candidates: number;
    readonly notes: readonly string[];
  };
  readonly budget: SweepBudget;
  /** The finished trial with the highest value; of equal ones the first. */
  readonly best?: TrialLine & { readonly value: number };
  /** In the order in which they are run. */
  readonly trials: readonly TrialLine[];
}

export function summarize(
  trials: readonly Trial[],
  records: ReadonlyMap<number, TrialRecord>,
  metric: string,
): SweepSummary {
  const lines = trials.map((trial) => lineOf(trial, records.get(trial.number), metric));
  const candidates = lines.filter(hasValue);
  const best = candidates.reduce<(typeof candidates)[number] | undefined>(
    (highest, line) => (highest === undefined || line.value > highest.value ? line : highest),
    undefined,
  );
  const sum = (of: (line: TrialLine) => number) => lines.reduce((all, line) => all + of(line), 0);
  const having = (status: TrialStatus) => lines.filter((line) => line.status === status).length;
  const [finished, failed] = [having("finished"), having("failed")];
  return {
    format: "user-llm-sweep",
    version: 1,
    metric,
    card: {
      selectedOn: "validation",
      candidates: candidates.length,
      notes: [
        `Trials were compared by ${metric} on validation data; no test data was read.`,
        `The best value is the highest of ${candidates.length}, and flattered by the choice: measure the chosen one on test data, once.`,
      ],
    },
    budget: {
      trials: lines.length,
      finished,
      failed,
      remaining: lines.length - finished - failed,
      steps: sum(({ steps }) => steps),
      seconds: sum(({ seconds }) => seconds),
      cpuSeconds: sum(({ cpuSeconds }) => cpuSeconds),
    },
    ...(best && { best }),
    trials: lines,
  };
}

/** NaN, as of a training that diverged, is no candidate. */
const hasValue = (line: TrialLine): line is TrialLine & { readonly value: number } =>
  line.value !== undefined && !Number.isNaN(line.value);

function lineOf(
  { number, values }: Trial,
  record: TrialRecord | undefined,
  metric: string,
): TrialLine {
  const { status = "planned", steps = 0, seconds = 0, cpuSeconds = 0 } = record ?? {};
  const value = record?.validation?.[metric];
  return {
    ...{ number, folder: trialName(number), values, status },
    ...(value !== undefined && { value }),
    ...(record?.error && { error: record.error }),
    ...{ steps, seconds, cpuSeconds },
  };
}
