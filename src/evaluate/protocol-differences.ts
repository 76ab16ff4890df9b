import type { RankingProtocol } from "./ranking-result.js";

/**
 * What makes two results of no use beside each other, one line each: `data: MovieLens 1M, MovieLens 20M`. What is computed
 * from the ranks, the list lengths and intervals, may differ; and so may versions.
 */
export function protocolDifferences(a: RankingProtocol, b: RankingProtocol): string[] {
  const differences: string[] = [];
  const compare = (name: string, x: unknown, y: unknown): void => {
    if (shown(x) !== shown(y)) differences.push(`${name}: ${shown(x)}, ${shown(y)}`);
  };
  const [data, otherData] = [a.split.data, b.split.data];
  if (data.fingerprint !== otherData.fingerprint) {
    const named = ({ title, fingerprint }: typeof data) => `${title} ${fingerprint.slice(0, 12)}`;
    compare("data", named(data), named(otherData));
  }
  const [decisions, others] = [a.split.decisions, b.split.decisions];
  for (const name of new Set([...Object.keys(decisions), ...Object.keys(others)])) {
    const key = name as keyof typeof decisions;
    compare(`split.${name}`, decisions[key], others[key]);
  }
  compare("part", a.part, b.part);
  compare("sampled users", a.sampledUsers ?? "all", b.sampledUsers ?? "all");
  compare("candidates", a.candidates, b.candidates);
  compare("seen items", a.seen, b.seen);
  compare("ties", a.ties, b.ties);
  // Whatever was changed by hand, or by another version of the split.
  if (differences.length === 0) {
    compare("split", a.split.fingerprint.slice(0, 12), b.split.fingerprint.slice(0, 12));
    compare("windows", a.windows.slice(0, 12), b.windows.slice(0, 12));
  }
  return differences;
}

const shown = (value: unknown): string =>
  value === undefined ? "none" : typeof value === "string" ? value : JSON.stringify(value);
