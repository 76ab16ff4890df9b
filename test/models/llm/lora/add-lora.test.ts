/** Which layers get adapters, what that freezes, and what it costs; faults of adapters that are loaded. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { valueAndGrad } from "../../../../src/autograd/index.js";
import { CheckpointError, UsageError } from "../../../../src/errors.js";
import {
  type AddLoraOptions,
  addLora,
  ConfigReader,
  Decoder,
  defaultTargets,
  llmFamilies,
  loadAdapter,
  mergeAdapter,
  restoreAdapter,
  saveAdapter,
  type TokenBatch,
} from "../../../../src/models/index.js";
import { LoraLinear } from "../../../../src/nn/index.js";
import { defaultGenerator, Generator, seed } from "../../../../src/ops/index.js";
import { AdamW } from "../../../../src/optim/index.js";
import { memory, resetPeakMemory, saveSafetensors, tensor } from "../../../../src/tensor/index.js";
import { LoraGolden, loadBase } from "./golden.js";

let before = 0;
test.beforeEach(() => {
  defaultGenerator.dispose();
  before = memory().tensors;
});
test.afterEach.always((t) => {
  defaultGenerator.dispose();
  if (t.passed) t.is(memory().tensors, before, "tensors leaked");
});

const family = llmFamilies.find(({ modelType }) => modelType === "llama")!;

function makeDecoder(more: object = {}): Decoder {
  seed(1);
  const config = {
    ...{ architectures: ["LlamaForCausalLM"], model_type: "llama", vocab_size: 31 },
    ...{ hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2 },
    ...{ intermediate_size: 24, max_position_embeddings: 1024, ...more },
  };
  return new Decoder(family.options(new ConfigReader(config)));
}

const layer = (parts: string[], layers = [0, 1]) =>
  layers.flatMap((i) => parts.map((part) => `model.layers.${i}.${part}`));
const attention = ["q_proj", "k_proj", "v_proj", "o_proj"].map((name) => `self_attn.${name}`);
const mlp = ["gate_proj", "up_proj", "down_proj"].map((name) => `mlp.${name}`);

for (const [title, options, expected] of [
  ["PEFT's", {}, layer(["self_attn.q_proj", "self_attn.v_proj"])],
  [
    "ends of names",
    { targets: ["k_proj", "mlp.up_proj"] },
    layer(["self_attn.k_proj", "mlp.up_proj"]),
  ],
  ["one layer", { targets: layer(["self_attn.q_proj"], [1]) }, layer(["self_attn.q_proj"], [1])],
  ["all", { targets: "all-linear" }, layer([...attention, ...mlp])],
  [
    "a pattern",
    { targets: ".*\\.0\\.mlp\\.(gate|up)_proj" },
    layer(["mlp.gate_proj", "mlp.up_proj"], [0]),
  ],
] as [string, AddLoraOptions, string[]][])
  test.serial(`targets: ${title}`, (t) => {
    using decoder = makeDecoder();
    const added = addLora(decoder, family, options);
    t.deepEqual([...added.keys()], expected);
    const trainable = new Set(decoder.trainable());
    t.is(trainable.size, 2 * added.size);
    for (const { a, b } of added.values()) t.true(trainable.has(a) && trainable.has(b));
  });

test.serial("every family has usual targets, which it has layers of", (t) => {
  for (const each of llmFamilies) {
    const names = Object.values(each.names).map((entry) =>
      typeof entry === "string" ? entry : entry.name,
    );
    for (const target of defaultTargets(each))
      t.true(
        names.some((name) => name.endsWith(`.${target}`)),
        `${each.name}: ${target}`,
      );
  }
});

test.serial("ranks, alphas and scales, the same for all or by name", (t) => {
  using decoder = makeDecoder();
  const added = addLora(decoder, family, {
    ...{ rank: 4, alpha: 6, dropout: 0.1, targets: attention, rankStabilized: true },
    rankPattern: { k_proj: 9, "model.layers.0.self_attn.q_proj": 2 },
    alphaPattern: { "self_attn.k_proj": 3 },
  });
  const of = (name: string) => {
    const { rank, alpha, scale, dropout } = added.get(`model.layers.${name}`)!;
    return [rank, alpha, scale, dropout.p];
  };
  t.deepEqual(of("0.self_attn.q_proj"), [2, 6, 6 / Math.SQRT2, 0.1]);
  t.deepEqual(of("1.self_attn.q_proj"), [4, 6, 3, 0.1]);
  t.deepEqual(of("1.self_attn.k_proj"), [9, 3, 1, 0.1]);
});

test.serial("what does not fit is one clear error, and nothing changes", async (t) => {
  using decoder = makeDecoder();
  const faults: [AddLoraOptions, RegExp][] = [
    [
      { targets: ["qkv"] },
      /"qkv" is none of q_proj, k_proj, .*down_proj \(in full: model\.layers\.0/,
    ],
    [{ targets: ["q_proj", "proj"] }, /"proj" is none of/],
    [{ targets: ["lm_head"] }, /"lm_head" is none of/],
    [{ targets: "q_proj" }, /\/q_proj\/ is none of/],
    [{ targets: "(" }, /targets: Invalid regular expression/],
    [{ targets: [] }, /targets are empty/],
    [{ rank: 0 }, /rank must be a whole number from 1, got 0/],
    [{ rankPattern: { q_proj: 1.5 } }, /rank must be a whole number from 1, got 1.5/],
    [{ rankPattern: { q: 2 } }, /rankPattern: "q" is none of/],
    [{ alpha: Number.NaN }, /alpha must be a positive number, got NaN/],
    [{ dropout: 1 }, /dropout must be from 0 to below 1, got 1/],
  ];
  const names = [...decoder.stateDict().keys()];
  for (const [options, message] of faults)
    t.throws(() => addLora(decoder, family, options), { instanceOf: UsageError, message });
  t.deepEqual([...decoder.stateDict().keys()], names);
  t.is(decoder.trainable().length, names.length);
  t.throws(() => addLora(decoder, { ...family, name: "X", modelType: "x" }), {
    message: /X has no usual targets/,
  });
  addLora(decoder, family);
  const again = { instanceOf: UsageError, message: /q_proj has an adapter already/ };
  t.throws(() => addLora(decoder, family), again);
  t.throws(() => addLora(decoder, family, { targets: ["k_proj"] }), again);
  t.is(decoder.trainable().length, 8);
  using golden = await LoraGolden.open("llama");
  await t.throwsAsync(loadAdapter(golden.adapter, decoder, { family }), again);
});

test.serial("adapters start as nothing, drawn from a generator of their own", async (t) => {
  const drawn = async (number: number) => {
    using decoder = makeDecoder();
    using generator = new Generator(number);
    const [first] = addLora(decoder, family, { generator }).values();
    t.true((await first!.b.value.data()).every((value) => value === 0));
    return [...(await first!.a.value.data())];
  };
  t.deepEqual(await drawn(3), await drawn(3));
  t.notDeepEqual(await drawn(3), await drawn(4));
});

function batchOf(tokens: number): TokenBatch {
  const ids = Int32Array.from({ length: tokens }, (_, i) => (i * 7) % 31);
  return { size: 1, ids, counts: [tokens], targets: ids.map((id) => (id * 3) % 31) };
}

/** Bytes that a step takes beside the weights: activations, gradients and the optimizer's state. */
async function costOfStep(
  decoder: Decoder,
): Promise<{ bytes: number; gradients: number; state: number }> {
  const { bytes } = memory();
  using optimizer = new AdamW(decoder.namedParameters());
  const batch = batchOf(512);
  resetPeakMemory();
  const { loss, gradients } = valueAndGrad(decoder.trainable(), () => decoder.loss(batch));
  optimizer.step(gradients);
  await loss.item();
  const result = {
    bytes: memory().peakBytes - bytes,
    gradients: gradients.size,
    state: optimizer.state().size,
  };
  loss.dispose();
  for (const gradient of gradients.values()) gradient.dispose();
  return result;
}

test.serial(
  "what is frozen has no gradient and no state, and keeps fewer activations",
  async (t) => {
    using full = makeDecoder({ intermediate_size: 256 });
    using adapted = makeDecoder({ intermediate_size: 256 });
    const added = addLora(adapted, family, { rank: 1 });
    const [whole, lora] = [await costOfStep(full), await costOfStep(adapted)];
    t.is(lora.gradients, 2 * added.size);
    t.is(whole.gradients, full.parameters().length);
    t.true(lora.state < whole.state / 2);
    t.true(
      lora.bytes < 0.9 * whole.bytes,
      `${lora.bytes} bytes with adapters, ${whole.bytes} without`,
    );
  },
);

async function folderOf(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-lora-"));
  t.teardown(() => rm(folder, { recursive: true }));
  return join(folder, "adapter");
}

test.serial(
  "an adapter is saved and restored; merging and saving without one are told apart",
  async (t) => {
    const folder = await folderOf(t);
    using decoder = makeDecoder();
    await t.throwsAsync(saveAdapter(folder, decoder, { family }), { message: /has no adapters/ });
    const added = addLora(decoder, family, { targets: ["q_proj"] });
    const values = async () => Promise.all([...added.values()].map(({ a }) => a.value.data()));
    const saved = (await values()).map((value) => [...value]);
    await saveAdapter(folder, decoder, { family, baseModel: "org/model" });
    const config = JSON.parse(await readFile(join(folder, "adapter_config.json"), "utf8"));
    t.is(config.base_model_name_or_path, "org/model");
    t.deepEqual(config.target_modules, ["q_proj"]);

    for (const { a } of added.values())
      a.assign(tensor(new Float32Array(a.value.size), { shape: a.shape }));
    await restoreAdapter(folder, decoder, { family });
    t.deepEqual(
      (await values()).map((value) => [...value]),
      saved,
    );

    using other = makeDecoder();
    addLora(other, family, { targets: ["k_proj"] });
    await t.throwsAsync(restoreAdapter(folder, other, { family }), { message: /missing:.*k_proj/ });
    await mergeAdapter(other);
    t.false(other.layers.some(({ attention }) => attention.key instanceof LoraLinear));
  },
);

test.serial("any layers, ranks and alphas come back from a folder as they were", async (t) => {
  const folder = await folderOf(t);
  const names = layer([...attention, ...mlp]);
  const numbers = (number: fc.Arbitrary<number>) =>
    fc.dictionary(fc.constantFrom(...names), number);
  const options = fc.record({
    targets: fc.subarray(names, { minLength: 1 }),
    rank: fc.integer({ min: 1, max: 5 }),
    alpha: fc.double({ min: 0.01, max: 64, noNaN: true }),
    rankStabilized: fc.boolean(),
    dropout: fc.constantFrom(0, 0.25),
    rankPattern: numbers(fc.integer({ min: 1, max: 20 })),
    alphaPattern: numbers(fc.integer({ min: 1, max: 20 })),
  });
  await fc.assert(
    fc.asyncProperty(options, async (given) => {
      using decoder = makeDecoder();
      const added = addLora(decoder, family, given);
      await saveAdapter(folder, decoder, { family });
      using other = makeDecoder();
      const { layers } = await loadAdapter(folder, other, { family });
      t.deepEqual([...layers.keys()], [...added.keys()]);
      for (const [name, loaded] of layers) {
        const of = ({ rank, alpha, scale, dropout }: LoraLinear) => [rank, alpha, scale, dropout.p];
        t.deepEqual(of(loaded), of(added.get(name)!));
        t.deepEqual(await loaded.a.value.data(), await added.get(name)!.a.value.data());
      }
    }),
    { numRuns: 25 },
  );
});

test.serial("some layers only: PEFT is told their whole names", async (t) => {
  const folder = await folderOf(t);
  using decoder = makeDecoder();
  addLora(decoder, family, { targets: ["model.layers.1.mlp.up_proj"] });
  await saveAdapter(folder, decoder, { family });
  const config = JSON.parse(await readFile(join(folder, "adapter_config.json"), "utf8"));
  t.deepEqual(config.target_modules, ["model.layers.1.mlp.up_proj"]);
});

for (const [title, change, message] of [
  ["DoRA", { use_dora: true }, /use_dora is not supported, got true/],
  ["biases", { bias: "all" }, /bias is supported only as "none", got "all"/],
  ["modules in full", { modules_to_save: ["lm_head"] }, /modules_to_save is not supported/],
  ["something new", { use_nora: true }, /use_nora is not supported/],
  ["another method", { peft_type: "LOHA" }, /peft_type is supported only as "LORA", got "LOHA"/],
  ["no method", { peft_type: undefined }, /peft_type must be a text, and it is missing/],
  ["another task", { task_type: "SEQ_CLS" }, /task_type is supported only as "CAUSAL_LM"/],
  [
    "a start that changes the base",
    { init_lora_weights: "pissa" },
    /init_lora_weights is supported/,
  ],
  [
    "patterns of ranks",
    { rank_pattern: { "q.*": 2 } },
    /rank_pattern\.q\.\* is a regular expression/,
  ],
  ["other targets", { target_modules: ["q_proj"] }, /v_proj has an adapter, but is not in target/],
  ["another rank", { r: 5 }, /is \[4, 24\], the model needs \[5, 24\]/],
  ["a dropout", { lora_dropout: 2 }, /lora_dropout must be from 0 to below 1, got 2/],
] as [string, object, RegExp][])
  test.serial(`an adapter that is not supported or wrong: ${title}`, async (t) => {
    using golden = await LoraGolden.open("llama");
    const { decoder } = await loadBase(golden);
    using _ = decoder;
    const folder = await folderOf(t);
    await cp(golden.adapter, folder, { recursive: true });
    const path = join(folder, "adapter_config.json");
    const config = JSON.parse(await readFile(path, "utf8"));
    await writeFile(path, JSON.stringify({ ...config, ...change }));
    const error = await t.throwsAsync(loadAdapter(folder, decoder, { family }), {
      instanceOf: CheckpointError,
      message,
    });
    t.true(error!.message.includes(folder));
    t.true(decoder.trainable().length > 0, "the decoder has not changed");
  });

test.serial("files that are missing, pickles, and tensors of something else", async (t) => {
  using golden = await LoraGolden.open("llama");
  const { decoder } = await loadBase(golden);
  using _ = decoder;
  const folder = await folderOf(t);
  const load = () => loadAdapter(folder, decoder, { family });
  const fails = (message: RegExp) =>
    t.throwsAsync(load(), { instanceOf: CheckpointError, message });
  await fails(/adapter_config\.json: no such file/);
  await cp(golden.adapter, folder, { recursive: true });
  const path = join(folder, "adapter_model.safetensors");
  const [name] = [...decoder.stateDict().keys()];
  await saveSafetensors(path, { [name!]: decoder.stateDict().get(name!)! });
  await fails(
    /has adapters of no layer of this Llama model; its first tensor is embedding\.weight/,
  );
  const q = "base_model.model.model.layers.0.self_attn.q_proj.lora_";
  using a = tensor(new Float32Array(64), { shape: [4, 16] });
  await saveSafetensors(path, { [`${q}A.weight`]: a, [`${q}magnitude_vector`]: a });
  await fails(/missing: .*q_proj\.lora_B\.weight; not part of the model: .*lora_magnitude_vector/);
  await rm(path);
  await writeFile(join(folder, "adapter_model.bin"), "");
  await fails(/a pickle can run code and is never read/);
});
