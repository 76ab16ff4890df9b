import { createReadStream } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { fileFault } from "../../data/files/file-fault.js";
import { CheckpointError, UsageError } from "../../errors.js";
import type { MetricRecord } from "../metric-record.js";
import { isObject, numberOf, toJson } from "./json.js";
import type { LoggedRecord, MetricSplit } from "./metric-record.js";

const splits: readonly unknown[] = ["train", "validation", "test"] satisfies MetricSplit[];
const newline = 0x0a;
/** Lines parsed before others get their turn. */
const linesATurn = 2000;

/** A line of `metrics.jsonl`. */
export interface MetricLine {
  readonly record: LoggedRecord;
  /** As it stands in the file, without the end of line. */
  readonly bytes: Uint8Array;
  /** Where the next line begins, in bytes. */
  readonly end: number;
}

/** A record as a line of `metrics.jsonl`, with its end. */
export function metricLine({ step, epoch, split, seconds, values }: LoggedRecord): string {
  return `${toJson({ step, epoch, split, seconds, ...values })}\n`;
}

/** @throws UsageError when a record cannot be kept */
export function checkRecord({ step, epoch, split, values }: MetricRecord): void {
  if (!Number.isSafeInteger(step) || step < 0)
    throw new UsageError(`metrics: step must be a whole number from 0, got ${step}`);
  if (!(epoch >= 0)) throw new UsageError(`metrics: epoch must be a number from 0, got ${epoch}`);
  if (!splits.includes(split))
    throw new UsageError(`metrics: split must be one of ${splits.join(", ")}, got ${split}`);
  for (const [name, value] of Object.entries(values)) {
    if (["v", "step", "epoch", "split", "seconds", "__proto__"].includes(name))
      throw new UsageError(`metrics: a value cannot be named "${name}"`);
    if (typeof value !== "number")
      throw new UsageError(`metrics: "${name}" must be a number, got ${typeof value}`);
  }
}

/**
 * Reads `metrics.jsonl` line by line. A last line that was cut off when a process was killed is left out.
 *
 * @throws CheckpointError when another line is damaged
 * @throws DataError when the file cannot be read
 */
export async function* readMetricLines(path: string): AsyncGenerator<MetricLine> {
  let number = 0;
  let damaged: number | undefined;
  try {
    for await (const { bytes, end } of linesOf(path)) {
      if (damaged !== undefined) throw new CheckpointError(`${path}, line ${damaged}: no metrics`);
      if (++number % linesATurn === 0) await nextTurn();
      const record = parseRecord(bytes);
      if (record === undefined) damaged = number;
      else yield { record, bytes, end };
    }
  } catch (error) {
    throw fileFault(error, path, "read");
  }
}

function parseRecord(bytes: Uint8Array): LoggedRecord | undefined {
  let line: unknown;
  try {
    line = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    return undefined;
  }
  if (!isObject(line)) return undefined;
  const { step, epoch, split, seconds, ...rest } = line;
  if (typeof step !== "number" || typeof epoch !== "number" || typeof seconds !== "number") return;
  if (!splits.includes(split)) return undefined;
  const values = Object.entries(rest).flatMap(([name, value]) => {
    const number = numberOf(value);
    return number === undefined ? [] : [[name, number] as const];
  });
  return { step, epoch, split: split as MetricSplit, seconds, values: Object.fromEntries(values) };
}

/** Lines that have an end. */
async function* linesOf(path: string): AsyncGenerator<{ bytes: Buffer; end: number }> {
  let rest: Buffer = Buffer.alloc(0);
  let offset = 0;
  for await (const block of createReadStream(path) as AsyncIterable<Buffer>) {
    const text = rest.length === 0 ? block : Buffer.concat([rest, block]);
    let from = 0;
    for (let to = text.indexOf(newline); to >= 0; to = text.indexOf(newline, from)) {
      yield { bytes: text.subarray(from, to), end: offset + to + 1 };
      from = to + 1;
    }
    rest = text.subarray(from);
    offset += from;
  }
}
