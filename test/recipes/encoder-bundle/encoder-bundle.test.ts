import { createHash } from "node:crypto";
import {
  access,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  truncate,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { Loader, split } from "../../../src/data/index.js";
import {
  CheckpointError,
  defaultGenerator,
  memory,
  openSafetensors,
  rand,
  saveSafetensors,
  type Tensor,
  tidy,
  UsageError,
} from "../../../src/index.js";
import { type EncoderOptions, makeEncoder, type UserEncoder } from "../../../src/models/index.js";
import {
  findEncoder,
  loadEncoder,
  restoreEncoder,
  saveEncoder,
} from "../../../src/recipes/encoder-bundle/index.js";
import { encoderDataOf } from "../../../src/recipes/encoder-data.js";
import { freshFolder, type SavedEncoder, savedEncoder, smallEncoder } from "../trained-encoder.js";

rand([1]).dispose(); // the default generator keeps a tensor

const kinds: Record<string, EncoderOptions> = {
  autoregressive: smallEncoder,
  rotary: {
    kind: "autoregressive",
    layers: 2,
    width: 8,
    heads: 2,
    positions: "rotary",
    features: [],
  },
  bert4rec: { kind: "bert4rec", layers: 1, width: 8, heads: 2, hiddenWidth: 8 },
  dual: { kind: "dual", layers: 1, width: 8, heads: 2, outputs: 2 },
  "dual over genres": {
    kind: "dual",
    ...{
      layers: 0,
      width: 8,
      heads: 2,
      label: "genres",
      userFeatures: ["rating"],
      softmax: "full" as const,
    },
  },
  sasrec: { kind: "sasrec", layers: 1, width: 8, heads: 1, hiddenWidth: 8 },
};

async function embeddings(encoder: UserEncoder, data: SavedEncoder["data"]): Promise<number[]> {
  const { test: windows } = await split(data, { windows: "padded", length: 6 });
  const values: number[] = [];
  for await (const batch of new Loader(data, windows, { batchSize: 7 })) {
    const made: Tensor = tidy(() => encoder.embed(batch));
    values.push(...(await made.dataAs("float32")));
    made.dispose();
  }
  return values;
}

for (const [name, options] of Object.entries(kinds))
  test.serial(`${name}: what is loaded is what was saved`, async (t) => {
    const { folder, encoder, data, card } = await savedEncoder(t, { options });
    const expected = await embeddings(encoder, data);
    const before = memory().tensors;
    {
      using loaded = await loadEncoder(folder);
      t.deepEqual(await embeddings(loaded.encoder, data), expected);
      t.deepEqual(loaded.card, card);
      t.false(loaded.encoder.training);
      t.is(loaded.hash, await sha256(join(folder, "model.safetensors")));
      t.is(loaded.card.provenance.data.fingerprint, data.fingerprint);
      t.is(loaded.card.parameters, encoder.parameterCount);
    }
    t.is(memory().tensors, before, "tensors leaked");
  });

test.serial("the options of a card are all there, with the defaults of today", async (t) => {
  const { card } = await savedEncoder(t);
  t.like(card.encoder, { kind: "autoregressive", layers: 1, positions: "learned", dropout: 0 });
  t.deepEqual(
    card.features.map(({ name, kind }) => `${name} ${kind}`),
    ["item id", "rating ordinal", "genres bag"],
  );
});

test.serial("the catalogue tells what the numbers stand for", async (t) => {
  const { folder, data } = await savedEncoder(t);
  using loaded = await loadEncoder(folder);
  const { catalogue } = loaded;
  t.is(catalogue.items, data.items);
  for (let item = 0; item < data.items; item++) {
    t.is(catalogue.itemId(item), data.itemId(item));
    t.is(catalogue.title(item), data.title(item));
  }
  t.deepEqual(catalogue.vocabulary("rating"), data.vocabulary("rating"));
  t.deepEqual(catalogue.vocabulary("genres"), data.vocabulary("genres"));
  t.deepEqual(catalogue.bag("genres"), data.bag("genres"));
  const ids = await catalogue.itemIds();
  t.is(ids.find(data.itemId(5)), 5);
  t.is(ids.find("nobody's"), -1);
});

test.serial("loading changes neither the random numbers nor the tensors of others", async (t) => {
  const { folder } = await savedEncoder(t);
  const state = defaultGenerator.state();
  using loaded = await loadEncoder(folder);
  t.truthy(loaded.encoder);
  t.deepEqual(defaultGenerator.state(), state);
});

test.serial("weights go back into an encoder that goes on", async (t) => {
  const { folder, encoder, data, card } = await savedEncoder(t);
  const made = encoderDataOf(data, 6);
  using other = makeEncoder(smallEncoder, made);
  t.deepEqual(await restoreEncoder(folder, other), card);
  other.eval();
  t.deepEqual(await embeddings(other, data), await embeddings(encoder, data));
  using narrow = makeEncoder({ ...smallEncoder, hiddenWidth: 4 } as EncoderOptions, made);
  await t.throwsAsync(restoreEncoder(folder, narrow), {
    instanceOf: CheckpointError,
    message: /model\.safetensors: blocks\.0\.mlp.*the checkpoint has/,
  });
});

test.serial("a folder may be renamed, and may hold other things", async (t) => {
  const { encoder, data } = await savedEncoder(t);
  const root = await freshFolder(t);
  const unfinished = join(root, "step-5.tmp");
  await mkdir(unfinished);
  await writeFile(join(unfinished, "state.json"), "{}");
  const saving = { options: smallEncoder, data: encoderDataOf(data, 6), trainedOn: data, step: 5 };
  await saveEncoder(unfinished, encoder, saving);
  await rename(unfinished, join(root, "step-5"));
  using loaded = await loadEncoder(join(root, "step-5"));
  t.is(loaded.card.provenance.step, 5);
});

test.serial("what is there already is never written over", async (t) => {
  const { folder, encoder, data } = await savedEncoder(t);
  const saving = { options: smallEncoder, data: encoderDataOf(data, 6), trainedOn: data };
  const names = await readdir(folder);
  await t.throwsAsync(saveEncoder(folder, encoder, saving), {
    instanceOf: CheckpointError,
    message: /holds encoder\.json already; nothing was written$/,
  });
  t.deepEqual(await readdir(folder), names);
  await t.throwsAsync(saveEncoder(data.folder, encoder, saving), {
    message: /items\.arrow already/,
  });
  await access(join(data.folder, "items.arrow"));
});

test.serial("what cannot be saved leaves nothing", async (t) => {
  const { encoder, data } = await savedEncoder(t);
  const folder = join(await freshFolder(t), "out");
  const saving = { options: smallEncoder, data: encoderDataOf(data, 6), trainedOn: data };
  await rm(join(data.folder, "vocab-genres.arrow"));
  await t.throwsAsync(saveEncoder(folder, encoder, saving), {
    instanceOf: CheckpointError,
    message: /vocab-genres\.arrow: cannot write: no such file or folder/,
  });
  t.deepEqual(await readdir(folder), []);
  const file = join(folder, "file");
  await writeFile(file, "");
  await t.throwsAsync(saveEncoder(file, encoder, saving), { instanceOf: CheckpointError });
});

test.serial("an encoder of other data is not saved with this one's", async (t) => {
  const { encoder, data } = await savedEncoder(t);
  const other = encoderDataOf({ items: 9, features: data.features }, 6);
  const saving = { options: smallEncoder, data: other, trainedOn: data };
  await t.throwsAsync(saveEncoder(join(await freshFolder(t), "x"), encoder, saving), {
    instanceOf: UsageError,
    message: /"item" has 9 values of events, in .* 60 of events/,
  });
});

test.serial("runs and checkpoints are found", async (t) => {
  const { folder } = await savedEncoder(t);
  const run = await freshFolder(t);
  const checkpoints = join(run, "checkpoints");
  await t.throwsAsync(findEncoder(run), {
    instanceOf: CheckpointError,
    message: /neither an encoder/,
  });
  await mkdir(checkpoints);
  await rename(folder, join(checkpoints, "step-3"));
  await writeFile(join(checkpoints, "latest"), "step-3\n");
  t.is(await findEncoder(run), join(checkpoints, "step-3"));
  t.is(await findEncoder(join(checkpoints, "step-3")), join(checkpoints, "step-3"));
  await writeFile(join(checkpoints, "best"), "step-2\n");
  await t.throwsAsync(findEncoder(run), {
    instanceOf: CheckpointError,
    message: /holds no encoder\.json/,
  });
  await writeFile(join(checkpoints, "best"), "../../etc\n");
  await t.throwsAsync(findEncoder(run), {
    message: /expected the name of a checkpoint, got "\.\.\/\.\.\/etc"/,
  });
});

type Card = Record<string, unknown> & {
  encoder: Record<string, unknown>;
  features: Record<string, unknown>[];
  files: Record<string, unknown>[];
  provenance: Record<string, unknown>;
};

const tampered: [string, (card: Card) => unknown, RegExp][] = [
  ["no card", () => undefined, /not JSON/],
  ["another format", (card) => ({ ...card, format: "gguf" }), /"format" must be one of/],
  ["a later version", (card) => ({ ...card, version: 2 }), /format 2, .* reads 1; update user-llm/],
  ["an unknown kind", (card) => ({ ...card, encoder: { kind: "magic" } }), /"encoder\.kind"/],
  ["no options", (card) => ({ ...card, encoder: null }), /"encoder": /],
  ["an unknown option", (card) => ({ ...card, encoder: { ...card.encoder, depth: 3 } }), /depth/],
  [
    "a huge width",
    (card) => ({ ...card, encoder: { ...card.encoder, width: 65_536 } }),
    /at least \d+ numbers/,
  ],
  [
    "many layers",
    (card) => ({ ...card, encoder: { ...card.encoder, layers: 1024 } }),
    /at least \d+ numbers/,
  ],
  [
    "infinite numbers",
    (card) => ({ ...card, encoder: { ...card.encoder, hiddenWidth: 1e308 } }),
    /"encoder\.hiddenWidth"/,
  ],
  [
    "another count",
    (card) => ({ ...card, parameters: 1 }),
    /"parameters" is 1, model\.safetensors has/,
  ],
  [
    "more blocks than there are",
    (card) => ({ ...card, encoder: { ...card.encoder, hiddenWidth: 1, layers: 2 } }),
    /missing: blocks\.1/,
  ],
  [
    "another shape",
    (card) => ({ ...card, encoder: { ...card.encoder, hiddenWidth: 31 } }),
    /the checkpoint has \[32, 8\], the module \[31, 8\]/,
  ],
  [
    "features without the item",
    (card) => ({ ...card, features: card.features.slice(1) }),
    /first of "features"/,
  ],
  [
    "a feature twice",
    (card) => ({ ...card, features: [...card.features, card.features[1]] }),
    /twice/,
  ],
  [
    "a feature with a path",
    (card) => ({ ...card, features: [card.features[0], { ...card.features[1], name: "../x" }] }),
    /the name of a feature/,
  ],
  [
    "more items",
    (card) => ({
      ...card,
      features: [{ ...card.features[0], size: 2 ** 40 }, ...card.features.slice(1)],
    }),
    /"files" must be/,
  ],
  [
    "a file elsewhere",
    (card) => ({
      ...card,
      files: [{ ...card.files[0], name: "../model.safetensors" }, ...card.files.slice(1)],
    }),
    /"files\[0\]\.rows"/,
  ],
  [
    "another hash",
    (card) => ({
      ...card,
      files: [{ ...card.files[0], sha256: "0".repeat(64) }, ...card.files.slice(1)],
    }),
    /its SHA-256 is/,
  ],
  ["no provenance", (card) => ({ ...card, provenance: [] }), /"provenance" must be an object/],
  ["a length of nothing", (card) => ({ ...card, length: 0 }), /"length" must be at least 1/],
  [
    "too short positions",
    (card) => ({ ...card, length: 5 }),
    /positions\.weight: the checkpoint has/,
  ],
];

test.serial("a card that was changed is one CheckpointError", async (t) => {
  const { folder } = await savedEncoder(t);
  const path = join(folder, "encoder.json");
  const text = await readFile(path, "utf8");
  const before = memory().tensors;
  for (const [name, change, message] of tampered) {
    await writeFile(path, JSON.stringify(change(JSON.parse(text) as Card)) ?? "{");
    await t.throwsAsync(loadEncoder(folder), { instanceOf: CheckpointError, message }, name);
    t.is(memory().tensors, before, `${name}: tensors leaked`);
  }
  const heads = text.replace('"heads": 2', '"heads": 3');
  await writeFile(path, heads);
  await t.throwsAsync(loadEncoder(folder), { instanceOf: CheckpointError, message: /\.json: .*3/ });
  for (const key of ["__proto__", "constructor", "toString"]) {
    const hostile = text.replace('"encoder": {', `"encoder": {\n "${key}": {"width": 3},`);
    await writeFile(path, hostile);
    await t.throwsAsync(loadEncoder(folder), { instanceOf: CheckpointError }, key);
  }
  t.is(({} as { width?: number }).width, undefined);
  await writeFile(path, text);
  (await loadEncoder(folder))[Symbol.dispose]();
});

test.serial("files that were changed are a CheckpointError", async (t) => {
  const { folder } = await savedEncoder(t);
  const refused = (message: RegExp) =>
    t.throwsAsync(loadEncoder(folder), { instanceOf: CheckpointError, message });
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const bytes = await readFile(path);
    const changed = Buffer.from(bytes);
    changed[name === "encoder.json" ? 0 : changed.length >> 1]! ^= 1;
    await writeFile(path, changed);
    await refused(/not JSON|SHA-256/);
    await truncate(path, bytes.length - 1);
    await refused(/bytes|not JSON/);
    await rm(path);
    await refused(/not there|has no encoder\.json/);
    await mkdir(path);
    await refused(/must be a file itself/);
    await rm(path, { recursive: true });
    await writeFile(path, bytes);
  }
  (await loadEncoder(folder))[Symbol.dispose]();
});

test.serial("other tensors under a true hash are a CheckpointError", async (t) => {
  const { folder } = await savedEncoder(t);
  const path = join(folder, "model.safetensors");
  const cardPath = join(folder, "encoder.json");
  const card = JSON.parse(await readFile(cardPath, "utf8")) as Card;
  const weights = await openSafetensors(path);
  const tensors = await weights.readAll();
  await weights.close();
  const [first, ...rest] = [...tensors];
  await saveSafetensors(path, new Map([["other", first![1]], ...rest]));
  for (const tensor of tensors.values()) tensor.dispose();
  card.files[0] = {
    ...{ name: "model.safetensors", bytes: (await readFile(path)).length },
    sha256: await sha256(path),
  };
  await writeFile(cardPath, JSON.stringify(card));
  await t.throwsAsync(loadEncoder(folder), {
    instanceOf: CheckpointError,
    message: /model\.safetensors: missing: \S+; unexpected: other$/,
  });
});

async function sha256(path: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
}
