import type { Progress } from "../../progress.js";
import { bytes, count, duration, percent } from "../text.js";
import type { Phase } from "./phase.js";

/** How far: `224 MB of 533 MB`, `12,000 rows`. */
function amount({ done, total, unit }: Progress): string {
  if (unit === "bytes") {
    return total === undefined ? bytes(done) : `${bytes(done)} of ${bytes(total)}`;
  }
  return total === undefined
    ? `${count(done)} ${unit}`
    : `${count(done)} of ${count(total)} ${unit}`;
}

/** `95.1 MB/s`, `1,200,000 rows/s`, `3.20 steps/s` */
export function speed(perSecond: number, unit: Progress["unit"]): string {
  if (unit === "bytes") return `${bytes(perSecond)}/s`;
  return `${perSecond < 99.95 ? perSecond.toPrecision(3) : count(perSecond)} ${unit}/s`;
}

/** The share that is done, from 0 to 1; undefined while the total is unknown. */
export const share = ({ done, total }: Progress): number | undefined =>
  total === undefined || total <= 0 ? undefined : Math.min(1, Math.max(0, done / total));

/** Everything known of a phase under way, in the order of interest. */
export function details(phase: Phase): string[] {
  const { latest, rate, secondsLeft } = phase;
  const part = share(latest);
  return [
    part === undefined ? "" : percent(part),
    amount(latest),
    rate === undefined ? "" : speed(rate, latest.unit),
    secondsLeft === undefined ? "" : `${duration(secondsLeft)} left`,
    ...Object.entries(latest.values ?? {}).map(([name, value]) => `${name} ${value}`),
  ].filter((text) => text !== "");
}

/** What is said of a phase that is over: `533 MB in 5.4 s, 98.7 MB/s`. */
export function summary({ latest, elapsed, meanRate }: Phase): string {
  const total = amount({ ...latest, total: undefined });
  const rate = meanRate === undefined ? "" : `, ${speed(meanRate, latest.unit)}`;
  return `${total} in ${duration(elapsed)}${rate}`;
}
