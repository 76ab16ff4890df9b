import type { RankingComparison } from "./compare-paired.js";
import { columns, count, counted, plain } from "./lines.js";

/** A comparison as text for people. */
export function describeComparison(comparison: RankingComparison): string {
  const { metric, masked, a, b, difference, interval, level, pValue, resamples } = comparison;
  const [low, high] = interval;
  const excludesZero = low > 0 || high < 0;
  return [
    `${metric}, ${masked ? "seen items masked" : "unmasked"}\n\n`,
    columns([
      [plain(a.ranker), a.mean.toFixed(4)],
      [plain(b.ranker), b.mean.toFixed(4)],
      ["difference", signed(difference)],
    ]),
    `\n${100 * level} % interval ${signed(low)} to ${signed(high)}, which ${excludesZero ? "excludes" : "includes"} 0\n`,
    `p ${pValue < 0.0001 ? "< 0.0001" : `= ${pValue.toFixed(4)}`} (paired over ${counted(comparison.users, "user")}, `,
    `${counted(comparison.windows, "window")}; ${count(resamples)} resamples, seed ${comparison.seed})\n`,
  ].join("");
}

const signed = (value: number): string => `${value < 0 ? "-" : "+"}${Math.abs(value).toFixed(4)}`;
