/** A disk that fails at any call of a save: whoever opens the folder then finds all of the old weights, or all of the new. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { CheckpointError } from "../../../src/errors.js";
import { openCheckpoint, saveCheckpoint } from "../../../src/models/index.js";
import { memory, type Tensor, tensor } from "../../../src/tensor/index.js";
import { arm, disarm, type Failure } from "../../train/failing-files.js";

const layouts = { single: 1000, "two shards": 20, "three shards": 12 } as const;
type Layout = keyof typeof layouts;

const names = ["a", "b", "c"];
let folder = "";
test.beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "user-llm-faults-"));
});
test.afterEach.always(async (t) => {
  disarm();
  await rm(folder, { recursive: true, force: true });
  t.is(memory().tensors, 0);
});

async function save(layout: Layout, fill: number): Promise<void> {
  const tensors: Record<string, Tensor> = {};
  for (const name of names) tensors[name] = tensor([fill, fill]);
  try {
    await saveCheckpoint(folder, tensors, { shardBytes: layouts[layout] });
  } finally {
    for (const each of Object.values(tensors)) each.dispose();
  }
}

/** What all weights of the folder are; throws if they are not the same. */
async function fillOf(): Promise<number> {
  await using checkpoint = await openCheckpoint(folder);
  const values: number[] = [];
  for (const name of checkpoint.names) {
    using weight = await checkpoint.read(name);
    values.push(...(await weight.data()));
  }
  const [first = Number.NaN] = values;
  if (values.length !== 6 || !values.every((value) => value === first))
    throw new Error(`a mixture: ${values}`);
  return first;
}

/** All but what a killed process has left under a temporary name. */
async function filesOf(): Promise<string[]> {
  return (await readdir(folder)).filter((name) => !name.endsWith(".tmp"));
}

const failures: readonly Failure[] = ["error", "late", "half", "dead"];
for (const old of Object.keys(layouts) as Layout[])
  for (const next of Object.keys(layouts) as Layout[])
    test.serial(`${next} over ${old}`, async (t) => {
      await save(old, 1);
      arm("error", Number.POSITIVE_INFINITY);
      await save(next, 2);
      const calls = disarm().length;
      t.is(await fillOf(), 2);
      t.true(calls > 5);
      const files = { single: 1, "two shards": 3, "three shards": 4 }[next];
      t.is((await filesOf()).length, files);

      for (const how of failures)
        for (let at = 1; at <= calls; at++) {
          const where = `${how} at call ${at} of ${calls}`;
          await save(old, 1);
          arm(how, at);
          const error = await save(next, 2).then(
            () => undefined,
            (reason: Error) => reason,
          );
          disarm();
          if (error !== undefined) t.true(error instanceof CheckpointError, `${where}: ${error}`);
          const fill = await fillOf();
          t.true(fill === 2 || (fill === 1 && error !== undefined), where);
          await save(next, 3);
          t.is(await fillOf(), 3, where);
          t.is((await filesOf()).length, files, `${where}: ${await filesOf()}`);
          await rm(folder, { recursive: true });
        }
    });
