import test from "ava";
import { describeRanking } from "../../src/evaluate/index.js";
import { inventedResult, inventedWindows } from "./invented-results.js";

test("a result for people", async (t) => {
  const result = await inventedResult(inventedWindows(1), { name: "mo\u001b[2Jst popular" });
  const { unmasked, masked } = result.metrics.all;
  const text = describeRanking(result);
  t.log(`\n${text}`);
  const cell = ({ mean, interval }: typeof unmasked.mrr & object): string =>
    `${mean.toFixed(4)} ± ${((interval![1] - interval![0]) / 2).toFixed(4)}`;
  const lines = text.split("\n");
  t.is(lines[0], "mo [2Jst popular");
  t.regex(lines[2]!, /^ +unmasked +masked$/);
  for (const name of ["recall@1", "recall@10", "ndcg@1", "ndcg@10", "mrr"]) {
    const line = `${name.padEnd(9)}   ${cell(unmasked[name]!)}   ${cell(masked[name]!)}`;
    t.is(lines.filter((other) => other === line).length, 1, line);
  }
  const { coldTargets, repeatedTargets, windows } = result.counts;
  t.true(text.includes(`without cold targets (${coldTargets} of ${windows} targets`));
  for (const line of [
    "data         Invented (dddddddddddd)",
    "split        leave-last-out, padded windows of 50 events (555555555555)",
    `ranked       test: ${windows} windows of 80 users; 0 users not tested`,
    "candidates   all 100 items; ties and NaN count against the target",
    `masked       leaves out what the user had before, not the target (${repeatedTargets} targets had before)`,
    "±            half of the 95 % interval, 20 resamples of users, seed 0",
    "version      user-llm 0.1.0, Node 20.19.0",
  ])
    t.true(lines.includes(line), line);
});

test("without intervals and cold targets there is neither ± nor a second table", async (t) => {
  const windows = inventedWindows(2);
  const warm = { ...windows, cold: windows.cold.map(() => 0) };
  const text = describeRanking(await inventedResult(warm, { resamples: 0 }));
  t.false(text.includes("without cold targets"));
  t.regex(text, /^recall@1 +0\.\d{4} +0\.\d{4}$/m);
  t.regex(text, /^± +not computed$/m);
  const cold = { ...windows, cold: windows.cold.map(() => 1) };
  t.regex(describeRanking(await inventedResult(cold)), /no window is left/);
});
