import { columns, count, counted, plain } from "./lines.js";
import type { Estimate, Measurement, RankingResult } from "./ranking-result.js";

/** A result as text for people: unmasked and masked beside each other, and under them what was measured how. */
export function describeRanking(result: RankingResult): string {
  const { ranker, metrics, counts } = result;
  const { all, withoutCold } = metrics;
  const parts = [`${plain(ranker)}\n\n`, tableOf(all)];
  if (counts.coldTargets > 0) {
    const share = `${count(counts.coldTargets)} of ${counted(counts.windows, "target")}`;
    parts.push(`\nwithout cold targets (${share}, which training has never seen)\n\n`);
    parts.push(withoutCold ? tableOf(withoutCold) : "no window is left\n");
  }
  parts.push(
    "\n",
    ...protocolLines(result).map(([name, text]) => `${name.padEnd(10)}   ${text}\n`),
  );
  return parts.join("");
}

function tableOf({ unmasked, masked }: Measurement): string {
  const rows = Object.keys(unmasked).map((name) => [
    name,
    shown(unmasked[name]!),
    shown(masked[name]!),
  ]);
  return columns([["", "unmasked", "masked"], ...rows]);
}

/** The mean, with half of the interval's width. */
function shown({ mean, interval }: Estimate): string {
  const half = interval && `${((interval[1] - interval[0]) / 2).toFixed(4)}`;
  return half === null ? mean.toFixed(4) : `${mean.toFixed(4)} ± ${half}`;
}

function protocolLines({ protocol, counts }: RankingResult): [name: string, text: string][] {
  const { split, part, candidates, sampledUsers, bootstrap, versions } = protocol;
  const { decisions, data } = split;
  const sampled = sampledUsers === null ? "" : `, at most ${count(sampledUsers)} sampled`;
  return [
    ["data", `${plain(data.title)} (${data.fingerprint.slice(0, 12)})`],
    [
      "split",
      `${decisions.strategy}, ${decisions.windows} windows of ${decisions.length} events (${split.fingerprint.slice(0, 12)})`,
    ],
    [
      "ranked",
      `${part}: ${counted(counts.windows, "window")} of ${counted(counts.users, "user")}${sampled}; ` +
        `${counted(counts.usersNotTested, "user")} not tested`,
    ],
    ["candidates", `all ${counted(candidates, "item")}; ties and NaN count against the target`],
    [
      "masked",
      `leaves out what the user had before, not the target (${counted(counts.repeatedTargets, "target")} had before)`,
    ],
    ["cold", `${counted(counts.coldTargets, "target")} in no training window`],
    [
      "±",
      bootstrap
        ? `half of the ${100 * bootstrap.level} % interval, ${count(bootstrap.resamples)} resamples of users, seed ${bootstrap.seed}`
        : "not computed",
    ],
    ["version", `user-llm ${plain(versions.userLlm)}, Node ${plain(versions.node)}`],
  ];
}
