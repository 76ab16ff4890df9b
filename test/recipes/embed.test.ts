import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { tableFromIPC } from "apache-arrow";
import test, { type ExecutionContext } from "ava";
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { type Batch, fromIterable, PreparedData, prepare } from "../../src/data/index.js";
import { DataError, memory, rand, tensor, tidy, UsageError } from "../../src/index.js";
import type { EncoderOptions } from "../../src/models/index.js";
import { type EmbedOptions, embed, shardOf } from "../../src/recipes/embed/index.js";
import { type LoadedEncoder, loadEncoder } from "../../src/recipes/encoder-bundle/index.js";
import { freshFolder, savedEncoder, syntheticFolder } from "./trained-encoder.js";

rand([1]).dispose(); // the default generator keeps a tensor

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach.always((t) => t.is(memory().tensors, before, "tensors leaked"));

interface Saved {
  readonly prepared: string;
  readonly bundle: string;
}

async function saved(t: ExecutionContext, options?: EncoderOptions): Promise<Saved> {
  const prepared = await syntheticFolder(t);
  const { folder, encoder } = await savedEncoder(t, { prepared, ...(options && { options }) });
  encoder.dispose();
  return { prepared, bundle: folder };
}

type Row = { user: string; events: number; embedding: number[] | number[][] | null };

/** All rows of a folder, by user. */
async function rowsOf(folder: string): Promise<Map<string, Row>> {
  const rows = new Map<string, Row>();
  for (const name of (await readdir(folder)).filter((name) => name.startsWith("part-")).sort())
    for (const row of await readPart(join(folder, name))) {
      if (rows.has(row.user)) throw new Error(`${row.user} is there twice`);
      rows.set(row.user, row);
    }
  return rows;
}

async function readPart(path: string): Promise<Row[]> {
  if (path.endsWith(".arrow")) {
    const table = tableFromIPC(await readFile(path));
    return table.toArray().map((row) => ({
      user: row.user as string,
      events: row.events as number,
      embedding: plain(row.embedding ?? row.embeddings),
    }));
  }
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(path) });
  return rows.map((row) => ({
    user: row.user as string,
    events: row.events as number,
    embedding: (row.embedding ?? row.embeddings ?? null) as Row["embedding"],
  }));
}

function plain(vector: unknown): Row["embedding"] {
  if (vector === null || vector === undefined) return null;
  return [...(vector as Iterable<never>)].map((value) =>
    typeof value === "number" ? value : [...(value as Iterable<number>)],
  ) as number[] | number[][];
}

/** What `embed` should have written, from the definition: one user at a time, in a batch made by hand. */
async function expected(
  { encoder, card }: LoadedEncoder,
  data: PreparedData,
): Promise<Map<string, number[][]>> {
  const users = new Map<string, number[][]>();
  for (let user = 0; user < data.users; user++) {
    const batch = historyOf(data, user, card.length);
    const made = tidy(() => encoder.embed(batch));
    const values = await made.dataAs("float32");
    made.dispose();
    batch.dispose();
    const all = Array.from({ length: values.length / encoder.width }, (_, i) => [
      ...values.slice(i * encoder.width, (i + 1) * encoder.width),
    ]);
    users.set(data.userId(user), all);
  }
  return users;
}

/** The last events of a user, the very last included. */
function historyOf(data: PreparedData, user: number, length: number): Batch & { dispose(): void } {
  const end = data.userOffsets[user + 1]!;
  const rows = Array.from({ length: end - data.userOffsets[user]! }, (_, i) => end - 1 - i)
    .slice(0, length)
    .reverse();
  const genres = data.bag("genres");
  const items = rows.map((row) => data.column("item")[row]!);
  const bags = items.map((item) => [
    ...genres.values.slice(genres.offsets[item], genres.offsets[item + 1]),
  ]);
  const ends = bags.map((_, i) => bags.slice(0, i + 1).flat().length);
  const shape = [1, rows.length];
  const inputs = {
    item: tensor(Int32Array.from(items), { shape }),
    rating: tensor(
      Int32Array.from(rows, (row) => data.column("rating")[row]!),
      { shape },
    ),
  };
  const ids = tensor(Int32Array.from(bags.flat()));
  const offsets = tensor(Int32Array.from([0, ...ends]));
  const extents = Int32Array.of(rows.length);
  const lengths = tensor(extents);
  return {
    ...{ size: 1, layout: "padded", users: Int32Array.of(user), targetRows: Float64Array.of(end) },
    ...{ extents, lengths, offsets: undefined, inputs, bags: { genres: { ids, offsets } } },
    targets: {},
    keep: () => {
      throw new Error("nobody keeps it");
    },
    dispose: () => {
      for (const made of [inputs.item, inputs.rating, ids, offsets, lengths]) made.dispose();
    },
  };
}

const close = (a: readonly number[], b: readonly number[], tolerance = 1e-5): boolean =>
  a.length === b.length && a.every((value, i) => Math.abs(value - b[i]!) <= tolerance);

const kinds: Record<string, EncoderOptions | undefined> = {
  autoregressive: undefined,
  bert4rec: { kind: "bert4rec", layers: 1, width: 8, heads: 2, hiddenWidth: 8 },
  sasrec: { kind: "sasrec", layers: 1, width: 8, heads: 1, hiddenWidth: 8 },
};

for (const [name, options] of Object.entries(kinds))
  for (const format of ["parquet", "arrow"] as const)
    test.serial(
      `${name}, ${format}: last, mean and all are what the encoder makes of a user`,
      async (t) => {
        const { prepared, bundle } = await saved(t, options);
        using encoder = await loadEncoder(bundle);
        using data = await PreparedData.open(prepared);
        const truth = await expected(encoder, data);
        for (const pool of ["last", "mean", "all"] as const) {
          const out = join(await freshFolder(t), "out");
          const result = await embed(encoder, data, { out, pool, format, batchSize: 4 });
          t.like(result.parts[0], { users: data.users, withoutEvents: 0, skipped: false });
          const rows = await rowsOf(out);
          t.deepEqual(
            [...rows.keys()],
            Array.from({ length: data.users }, (_, u) => data.userId(u)),
          );
          for (const [user, all] of truth) {
            const { embedding, events } = rows.get(user)!;
            t.is(events, all.length);
            const means = all[0]!.map(
              (_, i) => all.reduce((sum, one) => sum + one[i]!, 0) / all.length,
            );
            const wanted = pool === "all" ? all : [pool === "last" ? all.at(-1)! : means];
            const found = (pool === "all" ? embedding : [embedding]) as number[][];
            t.true(
              found.length === wanted.length && wanted.every((one, i) => close(found[i]!, one)),
              user,
            );
          }
        }
      },
    );

test.serial("an encoder with several embeddings of a user", async (t) => {
  const options: EncoderOptions = { kind: "dual", layers: 1, width: 8, heads: 2, outputs: 2 };
  const { prepared, bundle } = await saved(t, options);
  using encoder = await loadEncoder(bundle);
  using data = await PreparedData.open(prepared);
  const truth = await expected(encoder, data);
  const root = await freshFolder(t);
  const all = join(root, "all");
  const mean = join(root, "mean");
  await embed(encoder, data, { out: all, pool: "all" });
  await embed(encoder, data, { out: mean, pool: "mean" });
  const [allRows, meanRows] = [await rowsOf(all), await rowsOf(mean)];
  for (const [user, [first, second]] of truth) {
    const [one, two] = allRows.get(user)!.embedding as number[][];
    t.true(close(one!, first!) && close(two!, second!));
    t.true(
      close(
        meanRows.get(user)!.embedding as number[],
        first!.map((value, i) => (value + second![i]!) / 2),
      ),
    );
  }
  await t.throwsAsync(embed(encoder, data, { out: join(root, "last") }), {
    instanceOf: UsageError,
    message: /has 2 embeddings of a user.* pool must be mean or all/,
  });
});

test.serial("neither shards nor batches nor layout matter", async (t) => {
  const { prepared, bundle } = await saved(t);
  using encoder = await loadEncoder(bundle);
  using data = await PreparedData.open(prepared);
  const root = await freshFolder(t);
  const run = async (name: string, options: Partial<EmbedOptions>) => {
    const out = join(root, name);
    await embed(encoder, data, { out, ...options });
    return await rowsOf(out);
  };
  const whole = await run("whole", {});
  t.deepEqual(await run("again", {}), whole, "the same batches give the same bits");
  for (const [name, options] of Object.entries({
    "five parts": { shard: { of: 5 } },
    "small batches": { batchSize: 3 },
    "one by one": { batchSize: 1, shard: { of: 2 } },
    padded: { layout: "padded" as const },
  })) {
    const rows = await run(name, options);
    t.deepEqual([...rows.keys()].sort(), [...whole.keys()].sort(), name);
    for (const [user, { embedding, events }] of rows) {
      t.is(events, whole.get(user)!.events);
      t.true(
        close(embedding as number[], whole.get(user)!.embedding as number[]),
        `${name}: ${user}`,
      );
    }
  }
});

test.serial("a user's shard is a matter of the id alone", async (t) => {
  // printf u17 | sha256sum, its first 8 digits
  const { createHash } = await import("node:crypto");
  const first = Number.parseInt(createHash("sha256").update("u17").digest("hex").slice(0, 8), 16);
  t.is(shardOf("u17", 1000), first % 1000);
  const { prepared, bundle } = await saved(t);
  using encoder = await loadEncoder(bundle);
  using data = await PreparedData.open(prepared);
  const out = join(await freshFolder(t), "out");
  for (const index of [2, 0, 1]) await embed(encoder, data, { out, shard: { index, of: 3 } });
  for (const index of [0, 1, 2])
    for (const { user } of await readPart(join(out, `part-0000${index}-of-00003.parquet`)))
      t.is(shardOf(user, 3), index);
  t.is((await rowsOf(out)).size, data.users);
});

test.serial(
  "finished parts are not written again; those of something else are refused",
  async (t) => {
    const { prepared, bundle } = await saved(t);
    const other = await savedEncoder(t, { prepared, length: 5 });
    other.encoder.dispose();
    using encoder = await loadEncoder(bundle);
    using another = await loadEncoder(other.folder);
    using data = await PreparedData.open(prepared);
    const out = join(await freshFolder(t), "out");
    const two = { out, shard: { of: 2 } };
    await embed(encoder, data, { out, shard: { index: 1, of: 2 } });
    const name = "part-00001-of-00002.parquet";
    const { mtimeMs } = await stat(join(out, name));
    const { parts } = await embed(encoder, data, two);
    t.deepEqual(
      parts.map(({ skipped }) => skipped),
      [false, true],
    );
    t.is((await stat(join(out, name))).mtimeMs, mtimeMs);

    const refused = (message: RegExp, from: LoadedEncoder, options: EmbedOptions) =>
      t.throwsAsync(embed(from, data, options), { instanceOf: DataError, message });
    await refused(/holds embeddings of another encoder; overwrite them/, another, two);
    await refused(/holds embeddings in 2 parts/, encoder, { out });
    await refused(/holds embeddings with the pool "last"/, encoder, { ...two, pool: "mean" });
    await refused(/holds embeddings as parquet/, encoder, { ...two, format: "arrow" });
    await embed(another, data, { out, overwrite: true });
    t.deepEqual((await readdir(out)).sort(), ["embed.json", "part-00000-of-00001.parquet"]);
    await rm(join(out, "embed.json"));
    await refused(/holds parts without a card/, another, { out });
    const strange = await freshFolder(t);
    await writeFile(join(strange, "thesis.tex"), "");
    await refused(/is not empty and holds no embeddings/, encoder, {
      out: strange,
      overwrite: true,
    });
  },
);

test.serial("wrong numbers are refused", async (t) => {
  const { prepared, bundle } = await saved(t);
  using encoder = await loadEncoder(bundle);
  using data = await PreparedData.open(prepared);
  const out = join(await freshFolder(t), "out");
  for (const shard of [{ of: 0 }, { of: 1.5 }, { index: 2, of: 2 }, { index: -1, of: 2 }])
    await t.throwsAsync(embed(encoder, data, { out, shard }), { instanceOf: UsageError });
  await t.throwsAsync(embed(encoder, data, { out, batchSize: 0 }), { instanceOf: UsageError });
});

test.serial("an aborted part leaves nothing under its name", async (t) => {
  const { prepared, bundle } = await saved(t);
  using encoder = await loadEncoder(bundle);
  using data = await PreparedData.open(prepared);
  const out = join(await freshFolder(t), "out");
  const controller = new AbortController();
  const onProgress = () => controller.abort(new Error("enough"));
  const options = { out, signal: controller.signal, onProgress };
  await t.throwsAsync(embed(encoder, data, options), { message: "enough" });
  t.deepEqual(await readdir(out), ["embed.json"]);
});

/** Events with ids and ratings as other data may have them. */
const events = (rows: readonly (readonly [string, string, number?])[], kind?: "ordinal" | "text") =>
  fromIterable(
    rows.map(([user, item, rating]) => ({ user, item, rating })),
    { time: false, ...(kind && { features: { rating: kind } }) },
  );

test.serial("a history of new users embeds as it would in the prepared data", async (t) => {
  const { prepared, bundle } = await saved(t);
  using encoder = await loadEncoder(bundle);
  using data = await PreparedData.open(prepared);
  const root = await freshFolder(t);
  await embed(encoder, data, { out: join(root, "known") });
  const known = await rowsOf(join(root, "known"));

  const rating = data.vocabulary("rating") as Float64Array;
  const rows: [string, string, number?][] = [["nobody", "an unknown item", 1]];
  for (let user = 0; user < data.users; user++)
    for (let row = data.userOffsets[user]!; row < data.userOffsets[user + 1]!; row++) {
      const value = rating[data.column("rating")[row]!]!;
      rows.push([`new ${data.userId(user)}`, data.itemId(data.column("item")[row]!), value]);
      if (row % 3 === 0) rows.push([`new ${data.userId(user)}`, "an unknown item", 3]);
    }
  const unknown = rows.filter(([, item]) => item === "an unknown item").length;
  await prepare(events(rows, "ordinal"), { out: join(root, "new") });
  using fresh = await PreparedData.open(join(root, "new"));
  const result = await embed(encoder, fresh, { out: join(root, "mapped") });
  t.is(result.unknownEvents, unknown);
  t.deepEqual(result.unknownValues, {});
  t.deepEqual(result.absentFeatures, []);
  const mapped = await rowsOf(join(root, "mapped"));
  t.deepEqual(mapped.get("nobody"), { user: "nobody", events: 0, embedding: null });
  t.is(result.parts[0]!.withoutEvents, 1);
  for (const [user, { embedding, events }] of known) {
    const other = mapped.get(`new ${user}`)!;
    t.is(other.events, events);
    t.true(close(other.embedding as number[], embedding as number[]), user);
  }
});

test.serial(
  "values that are not known count as missing, as do features that are not there",
  async (t) => {
    const { prepared, bundle } = await saved(t);
    using encoder = await loadEncoder(bundle);
    using data = await PreparedData.open(prepared);
    const root = await freshFolder(t);
    const run = async (name: string, source: ReturnType<typeof events>) => {
      await prepare(source, { out: join(root, name) });
      using fresh = await PreparedData.open(join(root, name));
      const result = await embed(encoder, fresh, { out: join(root, `${name}-out`) });
      return { result, rows: await rowsOf(join(root, `${name}-out`)) };
    };
    const [a, b] = [data.itemId(0), data.itemId(1)];
    const strange = await run(
      "strange",
      events(
        [
          ["u", a, 77],
          ["u", b, 77],
        ],
        "ordinal",
      ),
    );
    const missing = await run(
      "missing",
      events([
        ["u", a],
        ["u", b],
      ]),
    );
    t.deepEqual(strange.result.unknownValues, { rating: 2 });
    t.deepEqual(missing.result.absentFeatures, ["rating"]);
    t.deepEqual(strange.rows, missing.rows);
    const text = events([["u", a, 5]], "text");
    await t.throwsAsync(run("text", text), {
      instanceOf: DataError,
      message: /"rating" is text of events there, ordinal of events to the encoder/,
    });
  },
);

test.serial("users without events, and only such users", async (t) => {
  const { bundle } = await saved(t);
  using encoder = await loadEncoder(bundle);
  const root = await freshFolder(t);
  await prepare(
    events([
      ["u", "x"],
      ["v", "y"],
    ]),
    { out: join(root, "new") },
  );
  using data = await PreparedData.open(join(root, "new"));
  for (const format of ["parquet", "arrow"] as const)
    for (const pool of ["last", "all"] as const) {
      const out = join(root, `${format}-${pool}`);
      await embed(encoder, data, { out, format, pool, shard: { of: 4 } });
      const rows = await rowsOf(out);
      const embedding = pool === "all" ? [] : null;
      t.deepEqual(
        [...rows.values()].sort((a, b) => (a.user < b.user ? -1 : 1)),
        [
          { user: "u", events: 0, embedding },
          { user: "v", events: 0, embedding },
        ],
      );
    }
});

test.serial("DuckDB reads the same, and files say where they come from", async (t) => {
  const { prepared, bundle } = await saved(t);
  using encoder = await loadEncoder(bundle);
  using data = await PreparedData.open(prepared);
  const root = await freshFolder(t);
  for (const pool of ["last", "all"] as const) {
    const out = join(root, pool);
    const { card } = await embed(encoder, data, { out, pool, shard: { of: 2 } });
    const rows = await rowsOf(out);
    const column = pool === "all" ? "embeddings" : "embedding";
    const instance = await DuckDBInstance.create();
    const connection = await instance.connect();
    const reader = await connection.runAndReadAll(
      `select user, events, to_json(${column}) as e from '${out}/part-*.parquet' order by user`,
    );
    connection.closeSync();
    instance.closeSync();
    const found = reader.getRows();
    t.is(found.length, data.users);
    for (const [user, count, json] of found as [string, number, string][]) {
      t.is(count, rows.get(user)!.events);
      const theirs = (JSON.parse(json) as number[]).flat();
      t.true(close(theirs, (rows.get(user)!.embedding as number[]).flat(), 1e-6), user);
    }
    const path = join(out, "part-00001-of-00002.parquet");
    const metadata = await parquetMetadataAsync(await asyncBufferFromFile(path));
    const own = metadata.key_value_metadata!.find(({ key }) => key === "user-llm")!.value!;
    t.deepEqual(JSON.parse(own), { ...card, shard: 1 });
    t.is(card.encoder.hash, encoder.hash);
  }
});

test.serial("an Arrow file has lists of fixed size and says where it comes from", async (t) => {
  const { prepared, bundle } = await saved(t);
  using encoder = await loadEncoder(bundle);
  using data = await PreparedData.open(prepared);
  const out = join(await freshFolder(t), "out");
  const { card } = await embed(encoder, data, { out, format: "arrow" });
  const { schema } = tableFromIPC(await readFile(join(out, "part-00000-of-00001.arrow")));
  t.is(
    schema.fields.map(String).join(),
    "user: Utf8,events: Int32,embedding: FixedSizeList[8]<Float32>",
  );
  t.deepEqual(JSON.parse(schema.metadata.get("user-llm")!), { ...card, shard: 0 });
});

test.serial("a run that was killed goes on where it was", async (t) => {
  const { prepared, bundle } = await saved(t);
  using encoder = await loadEncoder(bundle);
  using data = await PreparedData.open(prepared);
  const root = await freshFolder(t);
  const whole = join(root, "whole");
  const shard = { of: 40 };
  await embed(encoder, data, { out: whole, shard });
  const out = join(root, "killed");
  await mkdir(out);
  const child = fork(new URL("./embed-child.ts", import.meta.url), [bundle, prepared, out, "40"], {
    execArgv: ["--import=tsx"],
  });
  const exited = once(child, "exit");
  child.on("message", (done) => {
    if (done === 5) child.kill("SIGKILL");
  });
  const [, signal] = await exited;
  t.is(signal, "SIGKILL");
  const there = (await readdir(out)).filter((name) => name.endsWith(".parquet"));
  t.true(there.length >= 5 && there.length < 40);
  const { parts } = await embed(encoder, data, { out, shard });
  t.is(parts.filter(({ skipped }) => skipped).length, there.length);
  t.deepEqual(await readdir(out), await readdir(whole));
  for (const name of await readdir(whole))
    t.deepEqual(await readFile(join(out, name)), await readFile(join(whole, name)), name);
});
