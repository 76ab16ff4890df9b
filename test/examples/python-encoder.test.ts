/** Runs where there is a Python with PyTorch and safetensors: `USER_LLM_PYTHON`, else `python3`. */
import { execFile, execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import type { PreparedData } from "../../src/data/index.js";
import type { EncoderOptions } from "../../src/models/index.js";
import { embed, loadEncoder } from "../../src/recipes/index.js";
import { freshFolder, savedEncoder } from "../recipes/trained-encoder.js";

const python = process.env.USER_LLM_PYTHON ?? "python3";
const script = fileURLToPath(new URL("../../examples/python/encoder.py", import.meta.url));

const hasTorch = ((): boolean => {
  try {
    execFileSync(python, ["-c", "import torch, safetensors"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

const small = { layers: 2, width: 8, heads: 2, dropout: 0 } as const;
const encoders: Record<string, EncoderOptions> = {
  autoregressive: { kind: "autoregressive", ...small, featureWidths: { item: 6, rating: 3 } },
  rotary: { kind: "autoregressive", ...small, positions: "rotary" },
  sasrec: { kind: "sasrec", ...small },
};

const lacking = `${python} has no torch and safetensors; USER_LLM_PYTHON names one that has`;
const [check, remark] = hasTorch ? [test.serial, ""] : [test.serial.skip, `: ${lacking}`];

for (const [name, options] of Object.entries(encoders))
  check(`${name}: the example in Python makes the same embeddings${remark}`, async (t) => {
    const { folder, data } = await savedEncoder(t, { options, length: 5 });
    using loaded = await loadEncoder(folder);
    const out = join(await freshFolder(t), "out");
    await embed(loaded, data, { out });
    const path = join(out, "part-00000-of-00001.parquet");
    const ours = await parquetReadObjects({ file: await asyncBufferFromFile(path) });

    const histories = join(await freshFolder(t), "histories.json");
    await writeFile(
      histories,
      JSON.stringify(Array.from({ length: data.users }, (_, user) => historyOf(data, user))),
    );
    const { stdout } = await promisify(execFile)(python, [script, folder, histories]);
    const theirs = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as number[]);
    t.is(theirs.length, data.users);
    for (const [user, embedding] of theirs.entries()) {
      const found = ours[user]!.embedding as number[];
      t.is(found.length, 8);
      t.true(
        embedding.every((value, i) => Math.abs(value - found[i]!) < 1e-5),
        `user ${user}`,
      );
    }
  });

/** All events of a user: the example takes the last itself. */
function historyOf(data: PreparedData, user: number) {
  const begin = data.userOffsets[user]!;
  const rows = Array.from({ length: data.userOffsets[user + 1]! - begin }, (_, i) => begin + i);
  const { offsets, values } = data.bag("genres");
  const item = rows.map((row) => data.column("item")[row]!);
  return {
    item,
    rating: rows.map((row) => data.column("rating")[row]!),
    genres: item.map((each) => [...values.slice(offsets[each], offsets[each + 1])]),
  };
}
