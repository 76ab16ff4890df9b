import { describeRanking, type Estimate, type RankingResult } from "../evaluate/index.js";
import { type Cell, table } from "./table.js";

/** Results of the same windows: all of them in one table, then the first in full, with its protocol. */
export function describeRankings(results: readonly RankingResult[]): string {
  const [first] = results;
  if (first === undefined) return "";
  if (results.length === 1) return describeRanking(first);
  const ks = first.protocol.ks;
  const k = ks.includes(10) ? 10 : ks.at(-1)!;
  const names = [`recall@${k}`, `ndcg@${k}`] as const;
  const rows = results.map(({ ranker, metrics: { all } }): Cell[] => [
    ranker,
    ...[all.masked, all.unmasked].flatMap((part) => names.map((name) => cell(part[name]!))),
  ]);
  const header = [
    "",
    ...["masked", "unmasked"].flatMap((seen) => names.map((n) => `${seen} ${n}`)),
  ];
  return `${table(rows, { header })}\n${describeRanking(first)}`;
}

/** `0.315 ± 0.012` */
function cell({ mean, interval }: Estimate): string {
  if (interval === null) return mean.toFixed(3);
  return `${mean.toFixed(3)} ± ${((interval[1] - interval[0]) / 2).toFixed(3)}`;
}
