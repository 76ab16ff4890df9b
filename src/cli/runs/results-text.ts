import { isObject } from "../../train/run/json.js";
import type { RunDetails } from "../../train/run/run-details.js";
import { type Cell, table } from "../table.js";
import { measure } from "./phrases.js";

/** The rankings among the results, as a table of their most quoted metrics; empty without any. */
export function rankingTable({ results }: RunDetails): string {
  const rankings = rankingsOf(results?.test);
  if (rankings.length === 0) return "";
  const names = quoted(Object.keys(rankings[0]!.masked));
  const rows = rankings.map(({ ranker, masked, unmasked }): Cell[] => [
    ranker,
    ...[masked, unmasked].flatMap((part) => names.map((name) => meanOf(part[name]))),
  ]);
  const spaces = names.slice(1).map(() => "");
  return table([["test", ...names, ...names], ...rows], {
    indent: "  ",
    header: ["", "masked", ...spaces, "unmasked", ...spaces],
  });
}

/** Results beside the rankings and the best step, which are told elsewhere. */
export function otherResults({ results }: RunDetails): Readonly<Record<string, unknown>> {
  const { test, best: _, ...others } = results ?? {};
  return rankingsOf(test).length > 0 ? others : (results ?? {});
}

interface Ranking {
  readonly ranker: string;
  readonly masked: Readonly<Record<string, unknown>>;
  readonly unmasked: Readonly<Record<string, unknown>>;
}

/** What has the shape of rankings; the file may be of another release. */
function rankingsOf(value: unknown): Ranking[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((one: unknown) => {
    if (!isObject(one) || !isObject(one.metrics) || !isObject(one.metrics.all)) return [];
    const { masked, unmasked } = one.metrics.all;
    if (typeof one.ranker !== "string" || !isObject(masked) || !isObject(unmasked)) return [];
    return [{ ranker: one.ranker, masked, unmasked }];
  });
}

/** Metrics at 10, or else at the largest k. */
function quoted(names: readonly string[]): string[] {
  const ks = names.flatMap((name) => (name.includes("@") ? Number(name.split("@")[1]) : []));
  const k = ks.includes(10) ? 10 : Math.max(...ks);
  return names.filter((name) => name.endsWith(`@${k}`));
}

const meanOf = (estimate: unknown): string =>
  isObject(estimate) && typeof estimate.mean === "number" ? measure(estimate.mean) : "";
