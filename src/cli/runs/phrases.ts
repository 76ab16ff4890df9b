/** How runs are written for people. */
import type { RunSummary } from "../../train/run/run-summary.js";
import type { Colours } from "../colour.js";
import { count } from "../text.js";

const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const padded = (value: number): string => String(value).padStart(2, "0");

/** `12k`, `1.5M`: a count in at most four characters. */
export function shortCount(value: number): string {
  if (value < 10_000) return count(value);
  const [scaled, unit] = value < 999_500 ? [value / 1e3, "k"] : [value / 1e6, "M"];
  return `${scaled < 9.95 ? scaled.toFixed(1) : scaled.toFixed(0)}${unit}`;
}

/** `0.1724`, `12.3`, `1.2e-7`: as many digits as tell two runs apart. */
export function measure(value: number): string {
  if (!Number.isFinite(value) || value === 0) return String(value);
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e6) return value.toExponential(2);
  if (size < 1) return value.toFixed(4);
  return size < 1000 ? String(Number(value.toPrecision(4))) : count(value);
}

/** `09:31` of today, `3 Nov 09:31` of this year, else `3 Nov 2024`; by the clock of this machine. */
export function moment(iso: string | null, now: Date): string {
  const time = new Date(iso ?? Number.NaN);
  if (Number.isNaN(time.getTime())) return "";
  const clock = `${padded(time.getHours())}:${padded(time.getMinutes())}`;
  if (time.toDateString() === now.toDateString()) return clock;
  const day = `${time.getDate()} ${months[time.getMonth()]}`;
  return time.getFullYear() === now.getFullYear()
    ? `${day} ${clock}`
    : `${day} ${time.getFullYear()}`;
}

/** `12k of 20k`, or `20k` once all are done. */
export function stepsText({ step, steps }: RunSummary): string {
  if (step === null) return "";
  return steps === null || steps === step
    ? shortCount(step)
    : `${shortCount(step)}/${shortCount(steps)}`;
}

export function stateColour(
  state: RunSummary["state"],
  colours: Colours,
): (text: string) => string {
  switch (state) {
    case "running":
      return colours.cyan;
    case "finished":
      return colours.green;
    case "stopped":
    case "interrupted":
      return colours.yellow;
    case "failed":
    case "damaged":
      return colours.red;
  }
}
