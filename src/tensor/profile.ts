import { type NativeProfileEntry, native } from "../native.js";
import { measurePeak, type Peak, synchronize } from "./stream.js";

/** What all calls of one op cost together. */
export interface OpProfile {
  readonly op: string;
  readonly calls: number;
  /** Time on the device, in seconds. */
  readonly seconds: number;
  /** Floating-point operations, as the op counts them; 0 where it only moves data. */
  readonly flops: number;
  /** Bytes read and written, each tensor once. */
  readonly bytes: number;
}

/**
 * Runs `body` and measures every op of it, most expensive first. `USER_LLM_PROFILE=1` does it for a whole process and
 * prints the table to stderr at the end.
 */
export async function profile<T>(
  body: () => T | Promise<T>,
): Promise<{ result: T; ops: OpProfile[] }> {
  await synchronize();
  // What measures already, an enclosing profile or that of the process, goes on.
  const { profiling } = native.info();
  if (!profiling) native.profile(1);
  const before = new Map(native.profile(2).map((entry) => [entry.op, entry]));
  try {
    const result = await body();
    await synchronize();
    const ops = native
      .profile(2)
      .map((entry) => since(entry, before.get(entry.op)))
      .filter(({ calls }) => calls > 0);
    return { result, ops: byTime(ops) };
  } finally {
    if (!profiling) native.profile(0);
  }
}

function since(now: NativeProfileEntry, before: NativeProfileEntry | undefined): OpProfile {
  if (!before) return now;
  const { op, calls, seconds, flops, bytes } = before;
  return {
    op,
    calls: now.calls - calls,
    seconds: now.seconds - seconds,
    flops: now.flops - flops,
    bytes: now.bytes - bytes,
  };
}

/** A profile as a table; with `peak`, also the share of the machine's peak that each op reached. */
export function profileTable(ops: readonly OpProfile[], peak?: Peak): string {
  const total = ops.reduce((sum, { seconds }) => sum + seconds, 0);
  const header = ["op", "calls", "ms", "time", "GFLOP/s", "GB/s", ...(peak ? ["of peak"] : [])];
  const lines = ops.map(({ op, calls, seconds, flops, bytes }) => {
    const gflops = flops / seconds / 1e9;
    const gbs = bytes / seconds / 1e9;
    return [
      op,
      String(calls),
      (seconds * 1e3).toFixed(1),
      percent(seconds / total),
      flops > 0 ? gflops.toFixed(1) : "-",
      gbs.toFixed(1),
      // The nearer ceiling of the two: what keeps the op from being faster.
      ...(peak ? [percent(Math.max(gflops / peak.gflops, gbs / peak.copyGBs))] : []),
    ];
  });
  const widths = header.map((title, i) =>
    Math.max(title.length, ...lines.map((line) => line[i]!.length)),
  );
  return [header, ...lines]
    .map((line) =>
      line
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join("  "),
    )
    .join("\n");
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

const byTime = (entries: OpProfile[]): OpProfile[] => entries.sort((a, b) => b.seconds - a.seconds);

/** Prints the whole process's profile at its end when `USER_LLM_PROFILE` asks for it. */
export function printProfileAtExit(): void {
  if (!native.info().profiling) return;
  let printed = false;
  const print = (peak?: Peak): void => {
    if (printed) return;
    printed = true;
    process.stderr.write(`${profileTable(byTime(native.profile(2)), peak)}\n`);
  };
  process.once("beforeExit", () => void measurePeak().then(print));
  process.once("exit", () => print());
}
