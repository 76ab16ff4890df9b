/** Tensors of every family are saved under the names, and in the layout, that transformers has; and found under others. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { CheckpointError } from "../../../src/errors.js";
import {
  type Checkpoint,
  loadDecoder,
  openCheckpoint,
  saveCheckpoint,
  saveDecoder,
} from "../../../src/models/index.js";
import { multiply } from "../../../src/ops/index.js";
import { memory, type Tensor, tensor, tidy } from "../../../src/tensor/index.js";
import {
  type GoldenCase,
  goldenCases,
  goldenConfig,
  goldenFolder,
  logitsOf,
  readGolden,
} from "./golden-case.js";

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

async function freshFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-families-"));
  t.teardown(() => rm(folder, { recursive: true }));
  return folder;
}

for (const name of goldenCases.filter((each) => !/float16$/.test(each)))
  test.serial(`${name} is saved as transformers saved it`, async (t) => {
    const folder = await freshFolder(t);
    const { decoder, family, config } = await loadDecoder(goldenFolder(name));
    {
      using _ = decoder;
      await saveDecoder(folder, decoder, { family, config });
    }
    await using ours = await openCheckpoint(folder);
    await using theirs = await openCheckpoint(goldenFolder(name));
    t.deepEqual([...ours.names].sort(), [...theirs.names].sort());
    for (const each of theirs.names) {
      using expected = await theirs.read(each);
      using saved = await ours.read(each);
      t.deepEqual(saved.shape, expected.shape, each);
      t.deepEqual(await saved.data(), await expected.data(), each);
    }
  });

/** A golden checkpoint with other names, and with other tensors beside. */
async function renamed(
  t: ExecutionContext,
  name: string,
  rename: (name: string) => string,
  others: Record<string, Tensor> = {},
): Promise<string> {
  const folder = await freshFolder(t);
  await using checkpoint = await openCheckpoint(goldenFolder(name));
  const tensors = await readAll(checkpoint, rename);
  await saveCheckpoint(folder, { ...tensors, ...others });
  await writeFile(join(folder, "config.json"), JSON.stringify(goldenConfig(name)));
  for (const each of [...Object.values(tensors), ...Object.values(others)]) each.dispose();
  return folder;
}

async function embeddings(name: string, weight: string, scale = 1): Promise<Tensor> {
  await using checkpoint = await openCheckpoint(goldenFolder(name));
  using stored = await checkpoint.read(weight);
  return tidy(() => multiply(stored, scale));
}

async function readAll(checkpoint: Checkpoint, rename: (name: string) => string) {
  const tensors: Record<string, Tensor> = {};
  for (const name of checkpoint.names) tensors[rename(name)] = await checkpoint.read(name);
  return tensors;
}

async function sameLogits(t: ExecutionContext, name: string, folder: string): Promise<void> {
  const { sequences } = readGolden<GoldenCase>(`${name}/golden.json`);
  const one = await loadDecoder(goldenFolder(name));
  using first = one.decoder;
  const other = await loadDecoder(folder);
  using second = other.decoder;
  t.deepEqual(await logitsOf(second, sequences), await logitsOf(first, sequences));
}

test.serial(
  "GPT-2 without prefix, with masks and a copy of the embeddings, as it was published",
  async (t) => {
    const folder = await renamed(t, "gpt2", (name) => name.replace(/^transformer\./, ""), {
      "h.0.attn.bias": tensor([[1]]),
      "h.1.attn.masked_bias": tensor(-1e4),
      "lm_head.weight": await embeddings("gpt2", "transformer.wte.weight"),
    });
    await sameLogits(t, "gpt2", folder);
  },
);

test.serial("GPT-NeoX with masks and frequencies", async (t) => {
  const folder = await renamed(t, "gpt-neox", (name) => name, {
    "gpt_neox.layers.0.attention.bias": tensor([[1]]),
    "gpt_neox.layers.0.attention.masked_bias": tensor(-1e9),
    "gpt_neox.layers.0.attention.rotary_emb.inv_freq": tensor([1]),
  });
  await sameLogits(t, "gpt-neox", folder);
});

test.serial("a head that should be the embeddings and is not is an error", async (t) => {
  const message = /: lm_head\.weight is not the same as the embeddings.*tie_word_embeddings/;
  for (const head of [tensor([1]), await embeddings("qwen2", "model.embed_tokens.weight", 2)]) {
    const folder = await renamed(t, "qwen2", (name) => name, { "lm_head.weight": head });
    await t.throwsAsync(loadDecoder(folder), { instanceOf: CheckpointError, message });
    await t.throwsAsync(loadDecoder(folder, { dtype: "bfloat16" }), { message });
  }
});

test.serial("tied embeddings under the name of the head, and frequencies", async (t) => {
  const rename = (name: string) => name.replace("model.embed_tokens", "lm_head");
  const folder = await renamed(t, "qwen2", rename, {
    "model.layers.1.self_attn.rotary_emb.inv_freq": tensor([1]),
  });
  await sameLogits(t, "qwen2", folder);
});

test.serial("a tensor of another family is an error that names it", async (t) => {
  const extra = { "model.layers.0.self_attn.q_norm.weight": tensor([1]) };
  const folder = await renamed(t, "qwen2", (name) => name, extra);
  await t.throwsAsync(loadDecoder(folder), {
    instanceOf: CheckpointError,
    message: /not part of the model: model\.layers\.0\.self_attn\.q_norm\.weight/,
  });
  const bias = { "model.layers.0.self_attn.o_proj.bias": tensor([1]) };
  await t.throwsAsync(loadDecoder(await renamed(t, "mistral", (name) => name, bias)), {
    message: /not part of the model: model\.layers\.0\.self_attn\.o_proj\.bias/,
  });
});
