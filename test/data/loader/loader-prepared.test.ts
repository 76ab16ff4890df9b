/** Loaders over prepared folders, from the files to the tensors. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { Loader } from "../../../src/data/loader/loader.js";
import { PreparedData } from "../../../src/data/prepared/prepared-data.js";
import { split } from "../../../src/data/windows/split.js";
import { DataError, UsageError } from "../../../src/errors.js";
import { type FolderContent, preparedFolder } from "../prepared/prepared-folder.js";

const histories = Array.from({ length: 40 }, (_, user) =>
  Array.from({ length: (user * 7) % 23 }, (_, i) => (user * 31 + i * i) % 60),
);
const events = histories.flat().length;
const content: FolderContent = {
  histories,
  features: [
    {
      name: "rating",
      kind: "ordinal",
      of: "event",
      values: [1, 2, 3],
      rows: Array.from({ length: events }, (_, row) => (row % 4) - 1),
    },
    {
      name: "genres",
      kind: "bag",
      of: "item",
      values: ["a", "b", "c", "d", "e"],
      rows: Array.from({ length: 60 }, (_, item) =>
        Array.from({ length: item % 4 }, (_, k) => (item + k) % 5),
      ),
    },
  ],
};

test("batches of a split are its windows", async (t) => {
  const data = await PreparedData.open(await preparedFolder(t, content));
  for (const windows of ["full", "padded"] as const) {
    const { train, validation, test: held } = await split(data, { windows, length: 6 });
    for (const part of [train, validation!, held]) {
      const seen: [number, number][] = [];
      const loader = new Loader(data, part, { batchSize: 7, shuffle: true, seed: 5 });
      for await (const batch of loader) {
        const [items, ratings, targets, bags] = await Promise.all([
          batch.inputs.item!.data(),
          batch.inputs.rating!.data(),
          batch.targets.item!.data(),
          batch.bags.genres!.offsets.data(),
        ]);
        for (const [w, row] of batch.targetRows.entries()) {
          seen.push([batch.users[w]!, row]);
          const length = batch.extents[w]!;
          t.is(targets[w * 6 + length - 1], data.column("item")[row]);
          for (let i = 0; i < length; i++) {
            const at = row - length + i;
            const item = data.column("item")[at]!;
            const rating = data.column("rating")[at]!;
            t.is(items[w * 6 + i], item);
            t.is(ratings[w * 6 + i], rating < 0 ? 3 : rating);
            t.is(bags[w * 6 + i + 1]! - bags[w * 6 + i]!, item % 4);
          }
        }
      }
      const expected = [...part].map(({ user, target }) => [user, target]);
      t.deepEqual(
        seen.toSorted((a, b) => a[1] - b[1]),
        expected.toSorted((a, b) => a[1]! - b[1]!),
      );
    }
  }
  data.close();
});

test("closing the data ends no loop, and refuses the next", async (t) => {
  const data = await PreparedData.open(await preparedFolder(t, content));
  const { train } = await split(data, { windows: "padded", length: 6 });
  const loader = new Loader(data, train, { batchSize: 7 });
  let windows = 0;
  for await (const { size } of loader) {
    windows += size;
    data.close();
  }
  t.is(windows, train.count);
  await t.throwsAsync(() => loader[Symbol.asyncIterator]().next(), {
    instanceOf: UsageError,
    message: /was closed/,
  });
});

test("a corrupted file is named", async (t) => {
  const folder = await preparedFolder(t, content);
  const path = join(folder, "events.arrow");
  const bytes = await readFile(path);
  const rating = Int32Array.from({ length: 12 }, (_, row) => (row % 4) - 1);
  const at = bytes.indexOf(Buffer.from(rating.buffer));
  bytes.writeInt32LE(3, at + 40);
  await writeFile(path, bytes);
  const data = await PreparedData.open(folder);
  const { train } = await split(data, { windows: "padded", length: 6 });
  await t.throwsAsync(
    async () => {
      for await (const _ of new Loader(data, train, { batchSize: 1000 }));
    },
    {
      instanceOf: DataError,
      message: `${folder}: events.arrow, row 10, column "rating": expected -1 ... 2, got 3`,
    },
  );
  data.close();
});

test("a state is of its data", async (t) => {
  const state = async (of: FolderContent): Promise<Loader> => {
    const data = await PreparedData.open(await preparedFolder(t, of));
    const { train } = await split(data, { windows: "padded", length: 6 });
    return new Loader(data, train, { batchSize: 7 });
  };
  const loader = await state(content);
  loader.load((await state(content)).state());
  const other = histories.map((items) => items.map((item) => 59 - item));
  const { fingerprint } = (await state({ ...content, histories: other })).state();
  t.throws(() => loader.load({ epoch: 0, position: 0, fingerprint }), { instanceOf: UsageError });
});
