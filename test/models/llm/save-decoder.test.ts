/** Decoders saved as model folders: they come back bit for bit. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { CheckpointError } from "../../../src/errors.js";
import {
  ConfigReader,
  Decoder,
  llmFamilies,
  loadDecoder,
  openCheckpoint,
  restoreDecoder,
  saveDecoder,
} from "../../../src/models/index.js";
import { defaultGenerator, noGrad, seed } from "../../../src/ops/index.js";
import { memory, tensor, tidy } from "../../../src/tensor/index.js";

let before = 0;
test.beforeEach(() => {
  defaultGenerator.dispose();
  before = memory().tensors;
});
test.afterEach((t) => {
  defaultGenerator.dispose();
  t.is(memory().tensors, before, "tensors leaked");
});

const family = llmFamilies.find(({ modelType }) => modelType === "llama")!;
const config = {
  ...{ architectures: ["LlamaForCausalLM"], model_type: "llama", torch_dtype: "float16" },
  ...{ vocab_size: 31, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 4 },
  ...{ num_key_value_heads: 2, intermediate_size: 24, max_position_embeddings: 64 },
};

async function folderOf(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-decoder-"));
  t.teardown(() => rm(folder, { recursive: true }));
  return join(folder, "model");
}

function makeDecoder(number: number, tied = false): Decoder {
  defaultGenerator.dispose();
  seed(number);
  return new Decoder(family.options(new ConfigReader({ ...config, tie_word_embeddings: tied })));
}

async function logitsOf(decoder: Decoder): Promise<number[]> {
  const ids = Int32Array.of(1, 5, 30, 7, 2);
  const logits = tidy(() => noGrad(() => decoder.forward(tensor(ids), { counts: [3, 2] })));
  const values = [...(await logits.data())];
  logits.dispose();
  return values;
}

for (const tied of [false, true])
  test.serial(
    `a decoder ${tied ? "with a tied head " : ""}is saved, loaded and restored`,
    async (t) => {
      const folder = await folderOf(t);
      using decoder = makeDecoder(1, tied);
      const saved = { ...config, tie_word_embeddings: tied };
      await saveDecoder(folder, decoder, { family, config: saved });
      {
        await using checkpoint = await openCheckpoint(folder);
        t.is(checkpoint.names.includes("lm_head.weight"), !tied);
        t.true(checkpoint.names.includes("model.layers.1.mlp.gate_proj.weight"));
      }
      const loaded = await loadDecoder(folder);
      using _ = loaded.decoder;
      t.deepEqual(await logitsOf(loaded.decoder), await logitsOf(decoder));
      const { torch_dtype, ...rest } = saved;
      t.deepEqual(loaded.config, { ...rest, dtype: "float32" });

      using other = makeDecoder(2, tied);
      t.notDeepEqual(await logitsOf(other), await logitsOf(decoder));
      await restoreDecoder(folder, other, { family });
      t.deepEqual(await logitsOf(other), await logitsOf(decoder));
    },
  );

test.serial("weights can be stored rounded, and config.json says so", async (t) => {
  const folder = await folderOf(t);
  using decoder = makeDecoder(1);
  await saveDecoder(folder, decoder, { family, config, dtype: "bfloat16" });
  t.is(JSON.parse(await readFile(join(folder, "config.json"), "utf8")).dtype, "bfloat16");
  using other = makeDecoder(2);
  await restoreDecoder(folder, other, { family });
  const rounded = await logitsOf(other);
  for (const [i, logit] of (await logitsOf(decoder)).entries())
    t.true(Math.abs(logit - rounded[i]!) < 0.02);
});

test.serial(
  "a folder that cannot be written, or is of another model, is one clear error",
  async (t) => {
    const folder = await folderOf(t);
    using decoder = makeDecoder(1);
    await writeFile(folder, "a file");
    await t.throwsAsync(saveDecoder(folder, decoder, { family, config }), {
      instanceOf: CheckpointError,
      message: /cannot be written/,
    });
    await rm(folder);
    await saveDecoder(folder, decoder, { family, config });
    using other = makeDecoder(2, true);
    await t.throwsAsync(restoreDecoder(folder, other, { family }), {
      instanceOf: CheckpointError,
      message: /lm_head\.weight is not the same as the embeddings/,
    });
    using larger = new Decoder(family.options(new ConfigReader({ ...config, vocab_size: 32 })));
    await t.throwsAsync(restoreDecoder(folder, larger, { family }), {
      instanceOf: CheckpointError,
      message: /embed_tokens|lm_head/,
    });
  },
);
