/** Adapters against PEFT: what it saved is loaded, what is saved is what it saves, and training takes the same steps. */
import { spawnSync } from "node:child_process";
import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { valueAndGrad } from "../../../../src/autograd/index.js";
import {
  type Decoder,
  type LoadedDecoder,
  loadAdapter,
  loadDecoder,
  mergeAdapter,
  removeAdapter,
  saveAdapter,
  saveDecoder,
} from "../../../../src/models/index.js";
import { defaultGenerator, noGrad } from "../../../../src/ops/index.js";
import { AdamW } from "../../../../src/optim/index.js";
import { memory, openSafetensors, tensor, tidy } from "../../../../src/tensor/index.js";
import { distance, tolerance } from "../../../nn/distance.js";
import { goldenTypes, LoraGolden, loadBase } from "./golden.js";

let before = 0;
test.beforeEach(() => {
  defaultGenerator.dispose();
  before = memory().tensors;
});
test.afterEach.always((t) => {
  defaultGenerator.dispose();
  if (t.passed) t.is(memory().tensors, before, "tensors leaked");
});

async function temporary(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-lora-"));
  t.teardown(() => rm(folder, { recursive: true }));
  return folder;
}

/** How far the decoder's logits are from the golden's. */
async function off(decoder: Decoder, golden: LoraGolden, name = "logits"): Promise<number> {
  const [ids, counts] = [await golden.ids(), await golden.counts()];
  using logits = tidy(() => noGrad(() => decoder.forward(tensor(ids), { counts })));
  return await distance(logits, golden.get(name));
}

async function withAdapter(golden: LoraGolden): Promise<LoadedDecoder> {
  const loaded = await loadBase(golden);
  await loadAdapter(golden.adapter, loaded.decoder, { family: loaded.family });
  return loaded;
}

for (const { modelType, supported } of goldenTypes) {
  const check = supported ? test.serial : test.serial.skip;
  const title = supported ? modelType : `${modelType} (not a family yet)`;

  check(`${title}: an adapter of PEFT gives PEFT's logits`, async (t) => {
    using golden = await LoraGolden.open(modelType);
    const { decoder, family } = await loadBase(golden);
    using _ = decoder;
    t.true((await off(decoder, golden, "base")) < tolerance);
    const { layers } = await loadAdapter(golden.adapter, decoder, { family });
    t.true((await off(decoder, golden)) < tolerance);
    t.true((await off(decoder, golden, "base")) > 0.01);
    t.is(decoder.trainable().length, 2 * layers.size);
    removeAdapter(decoder);
    t.true((await off(decoder, golden, "base")) < tolerance);
  });

  check(`${title}: what is saved is what PEFT saved`, async (t) => {
    using golden = await LoraGolden.open(modelType);
    const { decoder, family } = await withAdapter(golden);
    using _ = decoder;
    const folder = await temporary(t);
    await saveAdapter(folder, decoder, { family });
    const [ours, theirs] = await Promise.all(
      [folder, golden.adapter].map(async (each) => {
        const config = JSON.parse(await readFile(join(each, "adapter_config.json"), "utf8"));
        const file = await openSafetensors(join(each, "adapter_model.safetensors"));
        const tensors = await file.readAll();
        const values = await Promise.all(
          [...tensors].map(async ([name, value]) => [name, value.shape, await value.data()]),
        );
        await file.close();
        for (const value of tensors.values()) value.dispose();
        return { config, tensors: values.sort() };
      }),
    );
    t.deepEqual(ours!.tensors, theirs!.tensors);
    const { target_modules, rank_pattern, alpha_pattern, ...rest } = ours!.config;
    for (const [key, value] of Object.entries(rest)) t.deepEqual(value, theirs!.config[key], key);
    const ends = (names: string[]) =>
      [...new Set(names.map((name) => name.split(".").at(-1)))].sort();
    t.deepEqual(ends(target_modules), ends(theirs!.config.target_modules));
  });

  check(`${title}: merged weights do what the adapter did, saved as a model too`, async (t) => {
    using golden = await LoraGolden.open(modelType);
    const { decoder, family, config } = await withAdapter(golden);
    using _ = decoder;
    await mergeAdapter(decoder);
    t.true((await off(decoder, golden)) < tolerance);
    t.is(decoder.trainable().length, 0);
    const folder = await temporary(t);
    await saveDecoder(folder, decoder, { family, config });
    using again = (await loadDecoder(folder)).decoder;
    t.true((await off(again, golden)) < tolerance);
  });
}

test.serial("an adapter beside a bfloat16 base, and merged into it", async (t) => {
  using golden = await LoraGolden.open("llama");
  const { decoder, family } = await loadBase(golden, "bfloat16");
  using _ = decoder;
  await loadAdapter(golden.adapter, decoder, { family });
  const rounding = 2 ** -8;
  // Every weight and every operand is rounded once; errors add up over some twenty products.
  t.true((await off(decoder, golden)) < 20 * rounding);
  await mergeAdapter(decoder);
  t.is(decoder.stateDict().get("layers.0.attention.query.weight")!.dtype, "bfloat16");
  t.true((await off(decoder, golden)) < 20 * rounding);
});

for (const checkpoint of [false, true])
  test.serial(
    `loss and gradients are PEFT's${checkpoint ? ", activations computed again" : ""}`,
    async (t) => {
      using golden = await LoraGolden.open("llama");
      const { decoder } = await withAdapter(golden);
      using _ = decoder;
      const batch = {
        ...{ size: 2, ids: await golden.ids(), counts: await golden.counts() },
        targets: await golden.ids("targets"),
      };
      const [first] = await golden.get("losses").dataAs("float32");
      const trainable = decoder.trainable();
      const { loss, gradients } = valueAndGrad(trainable, () =>
        decoder.loss(batch, { checkpoint }),
      );
      t.true(Math.abs((await loss.item()) - first!) < tolerance * first!);
      const expected = golden.under("gradient.");
      t.is(expected.size, trainable.length);
      for (const [name, theirs] of expected) {
        const parameter = parameterOf(decoder, name);
        t.true((await distance(gradients.get(parameter)!, theirs)) < tolerance, name);
      }
      loss.dispose();
      for (const gradient of gradients.values()) gradient.dispose();
    },
  );

test.serial("three steps of AdamW are PEFT's", async (t) => {
  using golden = await LoraGolden.open("llama");
  const { decoder } = await withAdapter(golden);
  using _ = decoder;
  const batch = {
    ...{ size: 2, ids: await golden.ids(), counts: await golden.counts() },
    targets: await golden.ids("targets"),
  };
  using optimizer = new AdamW(decoder.trainable(), { learningRate: 1e-2, weightDecay: 0.1 });
  for (const expected of await golden.get("losses").dataAs("float32")) {
    using loss = tidy(() => {
      const { loss, gradients } = valueAndGrad(decoder.trainable(), () => decoder.loss(batch));
      optimizer.step(gradients);
      return loss;
    });
    t.true(Math.abs((await loss.item()) - expected) < 10 * tolerance * expected);
  }
  // Adam divides a gradient by its size: where that is hardly more than rounding, so is the step. The others agree.
  for (const [name, theirs] of golden.under("trained.")) {
    const gradient = await golden.get(`gradient.${name}`).dataAs("float32");
    const [ours, expected] = await Promise.all(
      [parameterOf(decoder, name).value, theirs].map((value) => value.dataAs("float32")),
    );
    const largest = gradient.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
    const compared = [...gradient.keys()].filter((i) => Math.abs(gradient[i]!) > 0.1 * largest);
    t.true(compared.length > 5, name);
    for (const i of compared) t.true(Math.abs(ours![i]! - expected![i]!) < 1e-4, `${name} ${i}`);
  }
});

/** `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight` → the decoder's `a` there. */
function parameterOf(decoder: Decoder, name: string) {
  const fields = { q_proj: "attention.query", v_proj: "attention.value", down_proj: "mlp.down" };
  const [, layer, module, matrix] = /layers\.(\d+)\.\w+\.(\w+)\.lora_([AB])/.exec(name)!;
  const path = `layers.${layer}.${fields[module as keyof typeof fields]}.${matrix!.toLowerCase()}`;
  return new Map(decoder.namedParameters()).get(path)!;
}

const python = process.env.USER_LLM_PYTHON;
(python ? test.serial : test.serial.skip)(
  "PEFT loads what is saved here, and computes the same (USER_LLM_PYTHON)",
  async (t) => {
    const root = await temporary(t);
    const types = goldenTypes.filter(({ supported }) => supported);
    for (const { modelType } of types) {
      using golden = await LoraGolden.open(modelType);
      const { decoder, family } = await withAdapter(golden);
      using _ = decoder;
      await cp(golden.folder, join(root, modelType), { recursive: true });
      await rm(join(root, modelType, "adapter"), { recursive: true });
      await saveAdapter(join(root, modelType, "adapter"), decoder, { family });
    }
    const script = `
import sys, torch, warnings
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from peft import PeftModel
warnings.simplefilter("error", UserWarning)
for folder in sys.argv[1:]:
    expected = load_file(folder + "/expected.safetensors")
    base = AutoModelForCausalLM.from_pretrained(folder)
    model = PeftModel.from_pretrained(base, folder + "/adapter").eval()
    parts = expected["ids"].long().split(expected["counts"].tolist())
    logits = torch.cat([model(part[None]).logits[0] for part in parts])
    torch.testing.assert_close(logits, expected["logits"], rtol=1e-6, atol=1e-6)
`;
    const folders = types.map(({ modelType }) => join(root, modelType));
    const { status, stderr } = spawnSync(python!, ["-c", script, ...folders], {
      encoding: "utf8",
      env: { ...process.env, HF_HUB_OFFLINE: "1" },
    });
    t.is(status, 0, stderr);
  },
);
