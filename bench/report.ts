import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { cpuInfo } from "../src/index.js";
import type { OpResult } from "./ops.js";
import type { Pass } from "./torch-peer.js";

export interface Machine {
  cpu: string;
  memoryGB: number;
  isa: string;
  threads: number;
  node: string;
  torch: string | undefined;
}

export const thisMachine = (torch?: string): Machine => ({
  cpu: cpus()[0]!.model,
  memoryGB: Math.round(totalmem() / 2 ** 30),
  ...cpuInfo(),
  node: process.versions.node,
  torch,
});

export const describeMachine = ({ cpu, isa, threads, node, torch }: Machine): string =>
  `${cpu}, ${isa}, ${threads} threads, Node ${node}${torch ? `, PyTorch ${torch}` : ""}`;

/** Writes what a bench measured: to `file`, or to its place in bench/results. */
export function writeResults(
  bench: string,
  machine: Machine,
  results: object,
  file = fileURLToPath(new URL(`results/${bench}-${machine.isa}.json`, import.meta.url)),
): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ machine, results }, undefined, 1)}\n`);
}

/** Seconds of one run over several samples. */
export interface Timing {
  median: number;
  min: number;
  /** Distance of the quartiles, as a share of the median. */
  spread: number;
  samples: number;
}

export function timingOf(seconds: readonly number[]): Timing {
  const sorted = seconds.toSorted((a, b) => a - b);
  const quantile = (q: number): number => {
    const at = q * (sorted.length - 1);
    const low = sorted[Math.floor(at)]!;
    return low + (at % 1) * (sorted[Math.ceil(at)]! - low);
  };
  const median = quantile(0.5);
  return {
    median,
    min: sorted[0]!,
    spread: (quantile(0.75) - quantile(0.25)) / median,
    samples: sorted.length,
  };
}

export function printOps(machine: Machine, results: readonly OpResult[]): void {
  const { torch } = machine;
  console.log(describeMachine(machine));
  const header = ["case", "pass", "ms", "min", "spread", "call µs", "GFLOP/s", "GB/s", "of peak"];
  if (torch) header.push("PyTorch ms", "times faster", "path");
  const lines = results.map((result) => [
    result.case,
    passName(result.pass),
    milliseconds(result.ours.median),
    milliseconds(result.ours.min),
    percent(result.ours.spread),
    result.callMicroseconds.toFixed(1),
    result.gflops?.toFixed(1) ?? "",
    Number.isNaN(result.gigabytesPerSecond) ? "" : result.gigabytesPerSecond.toFixed(1),
    Number.isNaN(result.shareOfPeak) ? "" : percent(result.shareOfPeak),
    ...(torch
      ? result.torch
        ? [
            milliseconds(result.torch.median),
            (result.torch.median / result.ours.median).toFixed(2),
            result.torchPath ?? "",
          ]
        : ["", "", ""]
      : []),
  ]);
  printTable([header, ...lines]);
  const ratios = results.flatMap(({ ours, torch }) => (torch ? [torch.median / ours.median] : []));
  if (ratios.length > 0) {
    const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
    console.log(`geometric mean over ${ratios.length}: ${mean.toFixed(2)} times PyTorch's speed`);
  }
}

/** Columns of text; what looks like a number is aligned at the right. */
export function printTable(lines: readonly (readonly string[])[]): void {
  const widths = lines[0]!.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  const numeric = lines[0]!.map((_, i) =>
    lines.slice(1).every((line) => line[i] === "" || /^[\d.]+( %)?$/.test(line[i]!)),
  );
  for (const line of lines)
    console.log(
      line
        .map((cell, i) => (numeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
        .join("  ")
        .trimEnd(),
    );
}

/** A Markdown table; the first line is its header. */
export function markdown(lines: readonly (readonly string[])[]): string {
  const [header, ...rows] = lines.map((line) => `| ${line.join(" | ")} |`);
  return [header, `|${"---|".repeat(lines[0]!.length)}`, ...rows].join("\n");
}

export const passName = (pass: Pass): string => (pass === "backward" ? "with backward" : pass);
export const milliseconds = (seconds: number): string => (seconds * 1e3).toPrecision(4);
export const percent = (share: number): string => `${(share * 100).toFixed(0)} %`;
