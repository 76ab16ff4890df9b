/** On invented data, whose best ranking is known, a small encoder gets most of what can be had. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { prepareSynthetic, type SyntheticCard } from "../../src/data/index.js";
import { bayesShare } from "../../src/evaluate/index.js";
import { configure, pretrain } from "../../src/recipes/index.js";
import { freshFolder } from "./trained-encoder.js";

test("the encoder closes most of the gap between popularity and the best ranking", async (t) => {
  const folder = await freshFolder(t);
  const out = join(folder, "prepared");
  const sizes = { users: 1500, items: 120, genres: 6, events: 45_000 };
  await prepareSynthetic(out, { ...sizes, shortest: 12, lengthSpread: 0.5 });
  const config = configure({
    data: { out, split: { windows: "padded", length: 30, stride: 30 } },
    encoder: { kind: "sasrec", layers: 2, width: 48, heads: 2 },
    pretrain: { epochs: 20, learningRate: 0.003, validateEvery: 5 },
    evaluate: { ks: [10], bootstrap: 0, baselines: ["most-popular"] },
  });
  const { test: results } = await pretrain(config, { folder: join(folder, "run") });
  const card: SyntheticCard = JSON.parse(await readFile(join(out, "synthetic.json"), "utf8"));
  const [encoder, popular] = results.map((result) => bayesShare(result, card).masked);
  t.log(encoder);
  t.true(encoder!["ndcg@10"].share > 0.65);
  t.true(encoder!["recall@10"].share > 0.65);
  t.true(Math.abs(popular!["ndcg@10"].share) < 0.1, "popularity is what the card says it is");
});
