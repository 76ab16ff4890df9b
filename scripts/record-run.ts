/**
 * Keeps what a run of stage 1 found, for bench/results: how it was started, its curve, and the rank of every test user, by
 * number. Paths of the machine stay out of it.
 *
 *     node --import=tsx scripts/record-run.ts runs/sasrec bench/results/stage1/ml-1m-sasrec.json "user-llm pretrain -c ..."
 */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readRanking } from "../src/evaluate/index.js";
import { readMetricLines } from "../src/train/run/metric-lines.js";

const [run, out, command] = process.argv.slice(2);
if (run === undefined || out === undefined || command === undefined)
  throw new Error("usage: record-run.ts RUN FILE COMMAND");

const json = async (name: string) => JSON.parse(await readFile(join(run, name), "utf8"));
const { data, ...config } = await json("config.resolved.json");
const {
  processor,
  addon,
  memoryBytes,
  node,
  userLlm,
  git,
  data: trainedOn,
  split,
  model,
} = await json("environment.json");
const { seconds, best, step, reason } = await json("trainer_state.json");

const curve: object[] = [];
for await (const { record } of readMetricLines(join(run, "metrics.jsonl"))) {
  const { step, epoch, seconds, split, values } = record;
  const chosen = Object.entries(values).filter(([name]) => /^loss|@10$|PerSecond$/.test(name));
  if (split === "validation" || record.step % 100 === 0)
    curve.push({ step, epoch, seconds, split, ...Object.fromEntries(chosen) });
}
const folder = join(run, "eval", "test");
const results = await Promise.all(
  (await readdir(folder)).sort().map((name) => readRanking(join(folder, name))),
);

const record = {
  command,
  config: { ...config, data: { split: data.split, loader: data.loader } },
  data: trainedOn,
  split,
  model,
  environment: { processor, addon, memoryBytes, node, userLlm, commit: git?.commit },
  training: { seconds, step, best, reason },
};
const lines = (values: readonly object[]) =>
  values.map((value) => JSON.stringify(value)).join(",\n");
const head = JSON.stringify(record, null, 2).slice(0, -2);
await mkdir(dirname(out), { recursive: true });
await writeFile(
  out,
  `${head},\n"curve": [\n${lines(curve)}\n],\n"results": [\n${lines(results)}\n]\n}\n`,
);
