import { basename, resolve } from "node:path";
import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import type { MetricName, RankingResult } from "../../evaluate/index.js";
import type { Cli, Context, Result } from "../action.js";
import { examples } from "../help.js";
import { truncate, visible } from "../text.js";
import { runPath } from "./run-path.js";

/** `user-llm runs compare`: whether one run ranks better than another. */
export function addRunsCompareCommand(runs: CommandUnknownOpts, cli: Cli): void {
  runs
    .command("compare")
    .description("compare two rankings of the same targets, user by user")
    .argument("<a>", "a run, or its name below runs; a folder of rankings, or the file of one")
    .argument("<b>", "what it is compared with, likewise")
    .option("--metric <name>", "mrr, or recall@k or ndcg@k with any k", "ndcg@10")
    .option("--unmasked", "let items that the user had before compete")
    .addOption(
      new Option("--part <name>", "of runs: whose targets were ranked")
        .choices(["validation", "test"] as const)
        .default("test" as const),
    )
    .option("--ranker-a <name>", "a baseline of a in place of its encoder")
    .option("--ranker-b <name>", "a baseline of b in place of its encoder")
    .addHelpText(
      "after",
      examples(
        "user-llm runs compare runs/wide runs/narrow",
        "user-llm runs compare wide wide --ranker-b co-occurrence --metric recall@20",
        "user-llm runs compare wide rankings/most-popular.json --unmasked --json",
      ),
    )
    .action(cli.action((context, a, b, options) => compare(context, a, b, options)));
}

interface CompareFlags {
  metric: string;
  unmasked?: boolean | undefined;
  part: "validation" | "test";
  rankerA?: string | undefined;
  rankerB?: string | undefined;
}

async function compare(context: Context, a: string, b: string, flags: CompareFlags) {
  const [{ comparePaired, describeComparison, readRanking, worthOf }, { findRanking }] =
    await Promise.all([import("../../evaluate/index.js"), import("../../recipes/find-ranking.js")]);
  worthOf(flags.metric); // Refused before large files are read.
  const { part, unmasked = false } = flags;
  const { signal, onProgress, columns } = context;
  const [pathA, pathB] = [runPath(a), runPath(b)];
  const fileA = await findRanking(pathA, { part, ranker: flags.rankerA });
  const fileB = await findRanking(pathB, { part, ranker: flags.rankerB });
  const [first, second] = [await readRanking(fileA), await readRanking(fileB)];
  const metric = flags.metric as MetricName;
  const options = { metric, masked: !unmasked, signal, onProgress };
  const found = await comparePaired(
    called(first, pathA, second, columns),
    called(second, pathB, first, columns),
    options,
  );
  const comparison = {
    ...found,
    a: { ...found.a, ranker: first.ranker, file: fileA },
    b: { ...found.b, ranker: second.ranker, file: fileB },
  };
  return { document: { comparison }, text: describeComparison(found) } satisfies Result;
}

/** Two rankers of one name are told apart by their runs. */
function called(
  result: RankingResult,
  path: string,
  other: RankingResult,
  columns = Number.POSITIVE_INFINITY,
): RankingResult {
  if (result.ranker !== other.ranker) return result;
  const name = visible(`${result.ranker} of ${basename(resolve(path))}`);
  return { ...result, ranker: truncate(name, columns - 12) };
}
