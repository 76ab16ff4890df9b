import type { Output } from "../host.js";
import type { Phase, PhaseView } from "./phase.js";

/** What a line of `--progress json` holds. */
export interface ProgressEvent {
  v: 1;
  event: "begin" | "progress" | "end";
  task: string;
  done: number;
  total?: number | undefined;
  unit: string;
  values?: Readonly<Record<string, number | string>> | undefined;
  /** Since the task began. */
  seconds: number;
  /** Of the event `end`: false when the task was given up. */
  complete?: boolean | undefined;
}

/** A JSON object a line, for programs: each task's beginning and end, and at most ten lines a second between. */
export function jsonView(output: Output): PhaseView {
  const write = (event: ProgressEvent["event"], phase: Phase, complete?: boolean): void => {
    const { task, done, total, unit, values } = phase.latest;
    const seconds = Math.round(phase.elapsed * 1000) / 1000;
    const line: ProgressEvent = { v: 1, event, task, done, total, unit, values, seconds, complete };
    output.write(`${JSON.stringify(line)}\n`);
  };
  return {
    interval: 100,
    begin: (phase) => write("begin", phase),
    tick: (phase) => write("progress", phase),
    end: (phase, complete) => write("end", phase, complete),
  };
}
