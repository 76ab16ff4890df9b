/**
 * Fine-tuning as users run it: from a model folder and lines of examples to adapters or a model, stopped and gone on with.
 * One at a time: they share the default generator.
 */
import { existsSync } from "node:fs";
import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { CheckpointError, ConfigError, DataError, UsageError } from "../../src/errors.js";
import { generate, LanguageModel } from "../../src/generate/index.js";
import { defaultGenerator } from "../../src/ops/index.js";
import {
  type Config,
  configure,
  exportMerged,
  finetune,
  planFinetuning,
} from "../../src/recipes/index.js";
import { memory } from "../../src/tensor/index.js";
import { tinyModel } from "./tiny-model.js";
import { freshFolder } from "./trained-encoder.js";

let before = 0;
test.beforeEach(() => {
  defaultGenerator.dispose();
  before = memory().tensors;
});
test.afterEach.always((t) => {
  defaultGenerator.dispose();
  if (t.passed) t.is(memory().tensors, before, "tensors leaked");
});

const colours = ["red", "blue", "green", "black", "white"];
const things = ["sea", "moon", "cat", "house"];

/** Twenty questions whose answers nothing but memory can tell. */
const pairs = Array.from({ length: 20 }, (_, i) => ({
  prompt: `What is the ${things[i % 4]} ${Math.floor(i / 4)} like?`,
  completion: ` It is ${colours[(i * 7 + (i >> 2)) % 5]} and ${colours[(i * 3) % 5]}.`,
}));
const texts = pairs.map(({ prompt, completion }) => prompt + completion);

const linesOf = (values: readonly object[]) =>
  values.map((each) => JSON.stringify(each)).join("\n");

interface Given {
  readonly finetune?: object;
  readonly data?: object;
  readonly training?: object;
  readonly lines?: readonly object[];
  readonly llm?: string;
}

async function given(t: ExecutionContext, options: Given = {}): Promise<Config> {
  const file = join(await freshFolder(t), "examples.jsonl");
  await writeFile(file, linesOf(options.lines ?? pairs));
  const llm = options.llm ?? (await tinyModel(t, texts));
  return configure({
    seed: 3,
    finetune: {
      ...{ llm, length: 64, lora: { rank: 4, dropout: 0.1 } },
      data: { files: [file], heldOut: 5, ...options.data },
      training: {
        ...{ epochs: 3, batchTokens: 128, learningRate: 0.01, logEvery: 2, warmup: 0 },
        ...options.training,
      },
      ...options.finetune,
    },
  });
}

const command = ["user-llm", "finetune"];
const jsonOf = async (...path: string[]) => JSON.parse(await readFile(join(...path), "utf8"));

/** Lines of the metrics without what the clock decides. */
async function metricsOf(folder: string): Promise<object[]> {
  const text = await readFile(join(folder, "metrics.jsonl"), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => {
      const { seconds, examplesPerSecond, positionsPerSecond, ...rest } = JSON.parse(line);
      return rest;
    });
}

test.serial(
  "LoRA learns answers by heart; the adapter, merged or not, gives them greedily",
  async (t) => {
    const config = await given(t, {
      data: { heldOut: null },
      finetune: { lora: { rank: 8, targets: "all-linear" } },
      training: { epochs: 80, learningRate: 0.006 },
    });
    const folder = join(await freshFolder(t), "run");
    const result = await finetune(config, { folder, command });
    t.is(result.reason, "finished");
    t.deepEqual(result.validation, {});
    const { llm } = config.finetune!;
    const out = join(await freshFolder(t), "merged");
    const adapter = join(folder, "adapter");
    t.is(await exportMerged({ llm, adapter, out }), "float32");
    t.deepEqual((await readdir(out)).sort(), (await readdir(llm)).sort());
    for (const [name, options] of [
      [llm, { adapter }],
      [out, {}],
    ] as const) {
      using model = await LanguageModel.load(name, options);
      const answers = await generate(
        model,
        pairs.map(({ prompt }) => prompt),
        {
          ...{ maxNewTokens: 30, temperature: 0 },
        },
      );
      t.deepEqual(
        answers.map(({ text }) => text),
        pairs.map(({ completion }) => completion),
      );
    }
    await t.throwsAsync(exportMerged({ llm, adapter, out }), { instanceOf: DataError });
  },
);

test.serial("a run folder has everything; frozen weights are in no checkpoint", async (t) => {
  const config = await given(t, { training: { epochs: 12 } });
  const folder = join(await freshFolder(t), "run");
  const { best, validation, steps } = await finetune(config, { folder, command });
  t.is(best?.value, validation.logLikelihood);
  t.true(validation.perplexity! < 100, `${validation.perplexity}`); // 300 before
  t.deepEqual((await readdir(join(folder, "adapter"))).sort(), [
    "adapter_config.json",
    "adapter_model.safetensors",
  ]);
  const { model, examples, llm } = await jsonOf(folder, "environment.json");
  t.is(model.trainable, 2 * 4 * (32 + 32 + 32 + 16));
  t.true(model.parameters > 20_000);
  t.is(llm.name, config.finetune!.llm);
  t.like(examples, { sequences: 16, validationSequences: 4, shortened: 0 });
  t.true(examples.learnt < examples.tokens / 2);
  const checkpoint = join(folder, "checkpoints", `step-${steps}`);
  t.true(existsSync(checkpoint));
  const files = await readdir(checkpoint, { recursive: true, encoding: "utf8" });
  t.false(
    files.some((name) => name.endsWith("model.safetensors") && !name.includes("adapter")),
    `${files}`,
  );
});

for (const strategy of ["lora", "full"] as const)
  test.serial(
    `stopped and gone on with, a run ends as if nothing had happened: ${strategy}`,
    async (t) => {
      const config = await given(t, { finetune: { strategy, activationCheckpointing: true } });
      const parent = await freshFolder(t);
      const [whole, folder] = [join(parent, "whole"), join(parent, "stopped")];
      await finetune(config, { folder: whole, command });
      for (const [attempt, stopAt] of [3, 8, undefined].entries()) {
        defaultGenerator.dispose();
        const controller = new AbortController();
        const { reason } = await finetune(config, {
          ...{ folder, command, resume: attempt > 0, signal: controller.signal },
          onProgress({ task, done }) {
            if (task === "training" && stopAt !== undefined && done >= stopAt) controller.abort();
          },
        });
        t.is(reason, stopAt === undefined ? "finished" : "aborted");
      }
      t.deepEqual(await metricsOf(folder), await metricsOf(whole));
      const made = strategy === "lora" ? "adapter" : "model";
      for (const name of await readdir(join(whole, made)))
        t.deepEqual(
          await readFile(join(folder, made, name)),
          await readFile(join(whole, made, name)),
          name,
        );
      if (strategy === "full")
        t.deepEqual(
          (await readdir(join(whole, made))).sort(),
          (await readdir(config.finetune!.llm)).sort(),
        );

      const other = configure({
        seed: 3,
        finetune: { ...config.finetune!, strategy: strategy === "lora" ? "full" : "lora" },
      });
      await t.throwsAsync(finetune(other, { folder, command, resume: true }), {
        instanceOf: CheckpointError,
      });
    },
  );

test.serial(
  "activations that are computed again give the same training, dropout and all",
  async (t) => {
    const base = await given(t, { finetune: { lora: { dropout: 0.3, targets: "all-linear" } } });
    const losses: number[][] = [];
    for (const activationCheckpointing of [false, true]) {
      defaultGenerator.dispose();
      const folder = join(await freshFolder(t), "run");
      await finetune(
        configure({ seed: 3, finetune: { ...base.finetune!, activationCheckpointing } }),
        {
          ...{ folder, command },
        },
      );
      losses.push((await metricsOf(folder)).map((line) => (line as { loss: number }).loss));
    }
    const [kept, again] = losses;
    t.true(kept!.length > 5);
    for (const [i, loss] of kept!.entries()) t.true(Math.abs(loss - again![i]!) < 1e-4 * loss);
  },
);

test.serial("a plan counts adapters alone where they alone are saved", async (t) => {
  const base = await given(t);
  const planned = async (strategy: "lora" | "full") => {
    defaultGenerator.dispose();
    const config = configure({ seed: 3, finetune: { ...base.finetune!, strategy } });
    return await planFinetuning(config, { timedSteps: 1 });
  };
  const [lora, full] = [await planned("lora"), await planned("full")];
  t.is(lora.memory.optimizer, lora.disk.checkpoint - 4 * lora.parameters.trainable);
  t.is(full.memory.optimizer, full.disk.checkpoint - 4 * full.parameters.total);
  t.true(lora.memory.gradients < full.memory.gradients / 10);
});

test.serial("conversations: an example for each answer, as generation will see it", async (t) => {
  const lines = pairs.slice(0, 8).map(({ prompt, completion }) => ({
    chat: [
      { role: "user", content: prompt },
      { role: "assistant", content: completion.trim() },
      { role: "user", content: "Thanks." },
      { role: "assistant", content: "Bye!" },
    ],
  }));
  const config = await given(t, {
    lines,
    data: { messages: "chat", heldOut: null },
    finetune: { precision: "bfloat16", length: 128, lora: { targets: "all-linear" } },
    training: { epochs: 100, learningRate: 0.006 },
  });
  const { examplesRead } = await planFinetuning(config, { timedSteps: 1 });
  t.is(examplesRead.sequences, 16);
  const folder = join(await freshFolder(t), "run");
  await finetune(config, { folder, command });
  const { llm } = config.finetune!;
  using model = await LanguageModel.load(llm, {
    adapter: join(folder, "adapter"),
    dtype: "bfloat16",
  });
  const prompts = lines.map(({ chat }) => chat.slice(0, 1));
  const answers = await generate(model, prompts, { maxNewTokens: 30, temperature: 0 });
  const right = answers.filter(({ text }, i) => text === lines[i]!.chat[1]!.content);
  t.true(right.length >= 7, `${right.length} of 8 answers`);
});

test.serial("texts are learnt whole, in windows", async (t) => {
  const config = await given(t, {
    lines: texts.map((story) => ({ story })),
    data: { text: "story" },
    finetune: { length: 32, strategy: "full", precision: "bfloat16" },
  });
  const folder = join(await freshFolder(t), "run");
  const { validation } = await finetune(config, { folder, command });
  t.true(validation.perplexity! < 100);
  const { examples } = await jsonOf(folder, "environment.json");
  t.is(examples.learnt, examples.tokens);
});

/** GPT-Neo of 8 positions, of which only the configuration is read before the examples. */
async function learnedPositions(t: ExecutionContext, llm: string): Promise<string> {
  const folder = join(await freshFolder(t), "learned");
  await cp(llm, folder, { recursive: true });
  const config = {
    ...{ model_type: "gpt_neo", vocab_size: 300, hidden_size: 32, num_layers: 1, num_heads: 2 },
    ...{ max_position_embeddings: 8, attention_layers: ["global"] },
  };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  return folder;
}

test.serial("what does not go together, or is not as it should be, is refused", async (t) => {
  const llm = await tinyModel(t, texts);
  const refused = async (
    options: Given,
    error: new (message: string) => Error,
    message: RegExp,
  ) => {
    const folder = join(await freshFolder(t), "run");
    const config = await given(t, { llm, ...options });
    await t.throwsAsync(finetune(config, { folder, command }), {
      instanceOf: error as never,
      message,
    });
    t.false(existsSync(folder));
  };
  const [wrong, bad] = [ConfigError, DataError];
  await t.throwsAsync(finetune(configure({}), { folder: "x", command }), {
    message: /finetune\.llm is missing/,
  });
  await refused(
    { training: { batchTokens: 63 } },
    wrong,
    /room for an example of 64 tokens, got 63/,
  );
  const learned = { llm: await learnedPositions(t, llm) };
  await refused({ ...learned, finetune: { length: 200 } }, wrong, /has 8 positions, .* got 200/);
  await refused({ ...learned, finetune: { length: undefined } }, bad, /at most 8 fit/);
  await refused(
    { finetune: { length: 4 } },
    bad,
    /example 0 \(from 0\) has \d+ inputs, at most 4 fit/,
  );
  await refused({ data: { completion: "answer" } }, bad, /answer/);
  await refused(
    { lines: [{ prompt: "a", completion: 1 }, { prompt: "b" }] },
    bad,
    /line 2.*completion/s,
  );
  await refused({ lines: [{ prompt: "a", completion: "b" }] }, bad, /no example to train on/);
  const chat = { data: { messages: "m" } };
  await refused(
    { ...chat, lines: [{ m: "hello" }] },
    bad,
    /expected a list of messages, each with a role/,
  );
  await refused(
    { ...chat, lines: [{ m: [{ role: "user", content: "a" }] }] },
    bad,
    /expected an answer/,
  );
  await refused(
    { finetune: { lora: { targets: ["qkv"] } } },
    UsageError,
    /"qkv" is none of q_proj/,
  );
  t.throws(
    () => configure({ finetune: { llm, data: { files: ["a"], text: "t", messages: "m" } } }),
    {
      instanceOf: ConfigError,
      message: /messages and text exclude each other/,
    },
  );
  await rm(join(llm, "tokenizer_config.json"));
  await writeFile(
    join(llm, "tokenizer_config.json"),
    JSON.stringify({ bos_token: "<s>", eos_token: "</s>" }),
  );
  await refused(chat, wrong, /has no chat template to write conversations with/);
});

const shared =
  process.env.USER_LLM_SHARED ?? fileURLToPath(new URL("../../../shared", import.meta.url));
for (const name of ["tinystories-656k-hf", "tinystories-instruct-3m-hf"]) {
  const llm = join(shared, "models", name);
  const there = existsSync(llm);
  (there ? test.serial : test.serial.skip)(
    `a few steps lower the loss of ${name}${there ? "" : `: ${llm} is not here`}`,
    async (t) => {
      const config = await given(t, {
        llm,
        training: { steps: 6, learningRate: 0.005, validateEvery: 0.5 },
      });
      const folder = join(await freshFolder(t), "run");
      await finetune(config, { folder, command });
      const losses = (await metricsOf(folder)).flatMap((line) => {
        const { split, loss } = line as { split: string; loss: number };
        return split === "validation" ? [loss] : [];
      });
      t.true(losses.length > 1 && losses.at(-1)! < 0.95 * losses[0]!, losses.join(", "));
    },
  );
}
