/**
 * A language model from scratch as users train it: from text files to a folder that loads elsewhere, stopped and gone on
 * with. One at a time: they share the default generator.
 */
import { execFile, execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import test, { type ExecutionContext } from "ava";
import { coloursFor } from "../../src/cli/colour.js";
import { describeLmPlan } from "../../src/cli/plan-text.js";
import { CheckpointError, ConfigError, DataError } from "../../src/errors.js";
import { type Decoder, loadDecoder } from "../../src/models/index.js";
import { argmax, defaultGenerator, noGrad } from "../../src/ops/index.js";
import { type Config, configure, planLm, pretrainLm } from "../../src/recipes/index.js";
import { memory, tensor, tidy } from "../../src/tensor/index.js";
import { Tokenizer } from "../../src/tokenizers/index.js";
import { encodeDocuments, measureLoss, textWindows } from "../../src/train/index.js";
import { freshFolder } from "./trained-encoder.js";

let before = 0;
test.beforeEach(() => {
  defaultGenerator.dispose();
  before = memory().tensors;
});
test.afterEach((t) => {
  defaultGenerator.dispose();
  t.is(memory().tensors, before, "tensors leaked");
});

const who = ["The cat", "A dog", "My sister", "The old king"];
const what = ["sees", "likes", "follows", "isn't afraid of"];
const whom = ["the sea", "a red bird", "the moon", "his garden"];

/** Sixty-four little documents. */
const documents = Array.from({ length: 64 }, (_, i) => {
  const sentence = (n: number) => `${who[n & 3]} ${what[(n >> 2) & 3]} ${whom[(n >> 4) & 3]}.`;
  return `${sentence(i)}\n${sentence((i * 13 + 5) % 64)}`;
});

async function given(
  t: ExecutionContext,
  options: {
    texts?: object;
    model?: object;
    training?: object;
    tokenizer?: object;
    samples?: object;
  } = {},
): Promise<Config> {
  const folder = await freshFolder(t);
  await writeFile(join(folder, "some.txt"), documents.slice(0, 40).join("\n<end>\n"));
  const lines = documents.slice(40).map((text) => JSON.stringify({ text }));
  await writeFile(join(folder, "others.jsonl.gz"), gzipSync(lines.join("\n")));
  return configure({
    seed: 3,
    pretrainLm: {
      texts: { files: [folder], separator: "<end>", heldOut: 8, ...options.texts },
      tokenizer: { vocabulary: 320, ...options.tokenizer },
      samples: { tokens: 10, ...options.samples },
      model: {
        width: 32,
        layers: 2,
        heads: 4,
        kvHeads: 2,
        context: 32,
        dropout: 0.1,
        ...options.model,
      },
      training: {
        epochs: 3,
        batchTokens: 128,
        learningRate: 0.01,
        validateEvery: 1,
        logEvery: 5,
        ...options.training,
      },
    },
  });
}

const command = ["user-llm", "pretrain-lm"];

const jsonOf = async (...path: string[]) => JSON.parse(await readFile(join(...path), "utf8"));

/** Lines of the metrics without what the clock decides. */
async function metricsOf(folder: string): Promise<object[]> {
  const text = await readFile(join(folder, "metrics.jsonl"), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => {
      const {
        seconds: _,
        examplesPerSecond: __,
        positionsPerSecond: ___,
        ...rest
      } = JSON.parse(line);
      return rest;
    });
}

test.serial(
  "a run folder has everything; its model measures the same on the held-out documents",
  async (t) => {
    const config = await given(t);
    const folder = join(await freshFolder(t), "run");
    const notes: string[] = [];
    const result = await pretrainLm(config, {
      folder,
      command,
      onNote: (line) => void notes.push(line),
    });
    t.is(result.reason, "finished");
    t.is(notes.length, 3);
    t.regex(notes[2]!, /^sample: ".+"$/);
    t.true((await readFile(join(folder, "train.log"), "utf8")).includes(notes[2]!));
    const { loss, perplexity, bitsPerByte, logLikelihood } = result.validation;
    t.is(result.best?.value, logLikelihood);
    t.true(perplexity! < 60, `${perplexity}`); // 320 before
    const { state, best } = await jsonOf(folder, "trainer_state.json");
    t.is(state, "finished");
    t.is(best.metric, "logLikelihood");
    t.deepEqual(await jsonOf(folder, "config.resolved.json"), {
      seed: 3,
      pretrainLm: JSON.parse(JSON.stringify(config.pretrainLm)),
    });
    const { texts, model } = await jsonOf(folder, "environment.json");
    t.like(texts, { documents: 56, validationDocuments: 8 });

    const tokenizer = await Tokenizer.load(join(folder, "model"));
    const { decoder } = await loadDecoder(join(folder, "model"));
    using _ = decoder;
    t.is(decoder.parameterCount, model.parameters);
    t.is(decoder.options.maxPositions, 32);
    // Files come by their names: the JSON lines first.
    const inOrder = [...documents.slice(40), ...documents.slice(0, 40)];
    const heldOut = inOrder.filter((_, i) => i % 8 === 0);
    const { tokens, bytes } = await encodeDocuments(tokenizer, heldOut);
    const again = await measureLoss(decoder, textWindows(tokens, 32), { tokens: 128 });
    t.is(again.loss, loss!);
    t.is((again.loss * again.tokens) / Math.LN2 / bytes, bitsPerByte!);
    for (const text of heldOut) t.is(tokenizer.decode(tokenizer.encode(text)), text);
  },
);

for (const precision of ["float32", "bfloat16"])
  test.serial(
    `stopped and gone on with in ${precision}, a run ends as if nothing had happened`,
    async (t) => {
      const config = await given(t, { model: { precision } });
      const parent = await freshFolder(t);
      const [whole, folder] = [join(parent, "whole"), join(parent, "stopped")];
      await pretrainLm(config, { folder: whole, command });
      for (const [attempt, stopAt] of [5, 23, undefined].entries()) {
        defaultGenerator.dispose();
        const controller = new AbortController();
        const { reason } = await pretrainLm(config, {
          ...{ folder, command, resume: attempt > 0, signal: controller.signal },
          onProgress({ task, done }) {
            if (task === "training" && stopAt !== undefined && done >= stopAt) controller.abort();
          },
        });
        t.is(reason, stopAt === undefined ? "finished" : "aborted");
      }
      t.deepEqual(await metricsOf(folder), await metricsOf(whole));
      for (const name of await readdir(join(whole, "model")))
        t.deepEqual(
          await readFile(join(folder, "model", name)),
          await readFile(join(whole, "model", name)),
          name,
        );

      const other = await given(t, { texts: { heldOut: 4 } });
      await t.throwsAsync(pretrainLm(other, { folder, command, resume: true }), {
        instanceOf: CheckpointError,
        message: /data/,
      });
    },
  );

test.serial("a tiny text is learnt by heart, and comes out by argmax", async (t) => {
  const parent = await freshFolder(t);
  await writeFile(join(parent, "poem.txt"), documents[5]!);
  const config = await given(t, {
    texts: { files: [join(parent, "poem.txt")], separator: undefined, heldOut: null },
    model: { dropout: 0 },
    training: { steps: 100 },
  });
  const folder = join(parent, "run");
  const { validation } = await pretrainLm(config, { folder, command });
  t.deepEqual(validation, {});
  const tokenizer = await Tokenizer.load(join(folder, "model"));
  const { decoder } = await loadDecoder(join(folder, "model"));
  using _ = decoder;
  const { tokens } = await encodeDocuments(tokenizer, [documents[5]!]);
  const { loss } = await measureLoss(decoder, textWindows(tokens, 32), { tokens: 128 });
  t.true(loss < 0.02, `${loss}`);
  t.is(tokenizer.decode(await greedy(decoder, tokenizer)), documents[5]!);
});

/** What the model goes on with after the beginning token, up to the end token. */
async function greedy(decoder: Decoder, tokenizer: Tokenizer): Promise<number[]> {
  const ids = [...tokenizer.encode("")];
  for (let length = 0; length < 50; length++) {
    const best = tidy(() =>
      argmax(
        noGrad(() => decoder.forward(tensor(Int32Array.from(ids)), { counts: [ids.length] })),
        1,
      ),
    );
    const next = (await best.data()).at(-1)!;
    best.dispose();
    if (next === tokenizer.specials.eos) break;
    ids.push(next);
  }
  return ids;
}

test.serial("texts to validate on can be given, and a tokenizer that is there", async (t) => {
  const parent = await freshFolder(t);
  const first = join(parent, "first");
  await pretrainLm(await given(t, { training: { steps: 2 } }), { folder: first, command });
  await writeFile(join(parent, "held.txt"), documents[0]!);
  const config = await given(t, {
    texts: { validationFiles: [join(parent, "held.txt")] },
    tokenizer: { folder: join(first, "model") },
    training: { steps: 2 },
  });
  const second = join(parent, "second");
  await pretrainLm(config, { folder: second, command });
  const { texts } = await jsonOf(second, "environment.json");
  t.like(texts, { documents: 64, validationDocuments: 1 });
  t.deepEqual(
    await readFile(join(second, "model", "tokenizer.json")),
    await readFile(join(first, "model", "tokenizer.json")),
  );
});

test.serial("planning leaves neither files nor tensors, and reads well", async (t) => {
  const config = await given(t, { training: { accumulate: 2, keep: 1 } });
  const [folder] = config.pretrainLm!.texts.files;
  const files = await readdir(folder!);
  const plan = await planLm(config, { timedSteps: 2 });
  t.deepEqual(await readdir(folder!), files);
  t.is(plan.disk.checkpoints, 3 * plan.disk.checkpoint);
  t.true(Math.abs(plan.epochs - 3) < 0.3);
  const text = describeLmPlan(plan, coloursFor({ write: () => true } as never, {}, true));
  t.regex(text, /^Parameters\n +all +trainable\n +embedding +[\d,]+ +[\d,]+\n/);
  t.regex(text, /\n  texts +56 documents, [\d.]+ kB\n  as tokens +[\d,]+ of 320 kinds\n/);
});

test.serial("what does not go together is refused", async (t) => {
  const refused = async (
    config: Config,
    error: new (message: string) => Error,
    message: RegExp,
  ) => {
    const folder = join(await freshFolder(t), "run");
    await t.throwsAsync(pretrainLm(config, { folder, command }), {
      instanceOf: error,
      message,
    });
  };
  await refused(configure({}), ConfigError, /pretrainLm\.texts\.files is missing/);
  await refused(
    await given(t, { training: { batchTokens: 31 } }),
    ConfigError,
    /room for a window of 32, got 31/,
  );
  await refused(await given(t, { model: { width: 36 } }), ConfigError, /36 \/ 4 = 9/);
  await refused(
    await given(t, { model: { kvHeads: 3 } }),
    ConfigError,
    /kvHeads 3 must divide heads 4/,
  );

  const samples = { prompt: "The king. ".repeat(20) };
  await refused(
    await given(t, { samples }),
    ConfigError,
    /samples\.prompt: must have fewer tokens/,
  );

  const folder = await freshFolder(t);
  const one = join(folder, "one.txt");
  await writeFile(one, documents[0]!);
  await refused(
    await given(t, { texts: { files: [one] } }),
    DataError,
    /no text is left for training/,
  );
  await writeFile(join(folder, "none.txt"), " \n");
  const blank = { validationFiles: [join(folder, "none.txt")] };
  await refused(await given(t, { texts: blank }), DataError, /no text to validate on/);
  await refused(
    await given(t, { texts: { files: [join(folder, "no*.md")] } }),
    DataError,
    /no file of texts/,
  );

  const run = join(folder, "run");
  await pretrainLm(await given(t, { training: { steps: 1 } }), { folder: run, command });
  const endless = join(folder, "endless");
  await mkdir(endless);
  await writeFile(
    join(endless, "tokenizer.json"),
    await readFile(join(run, "model", "tokenizer.json")),
  );
  await refused(
    await given(t, { tokenizer: { folder: endless } }),
    ConfigError,
    /has no end token/,
  );
});

const python = process.env.USER_LLM_PYTHON ?? "python3";
const hasTransformers = ((): boolean => {
  try {
    execFileSync(python, ["-c", "import torch, transformers"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();
const lacking = `: ${python} has no torch and transformers; USER_LLM_PYTHON names one that has`;
const check = hasTransformers ? test.serial : test.serial.skip;

check(
  `transformers loads the model with equal logits${hasTransformers ? "" : lacking}`,
  async (t) => {
    const folder = join(await freshFolder(t), "run");
    await pretrainLm(await given(t, { training: { steps: 8 } }), { folder, command });
    const path = join(folder, "model");
    const text = "The old king isn't afraid of 2 red moons.\n\n é";
    const script = `
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
ids = tokenizer(sys.argv[2]).input_ids
with torch.no_grad():
    logits = model(torch.tensor([ids])).logits[0]
print(json.dumps({"ids": ids, "logits": logits.flatten().tolist(), "text": tokenizer.decode(ids, skip_special_tokens=True),
  "ends": [model.generation_config.bos_token_id, model.generation_config.eos_token_id]}))
`;
    const { stdout } = await promisify(execFile)(python, ["-c", script, path, text], {
      maxBuffer: 1 << 26,
    });
    const theirs = JSON.parse(stdout);
    const tokenizer = await Tokenizer.load(path);
    const ids = tokenizer.encode(text);
    t.deepEqual([...ids], theirs.ids);
    t.is(theirs.text, text);
    t.deepEqual(theirs.ends, [tokenizer.specials.bos, tokenizer.specials.eos]);
    const { decoder } = await loadDecoder(path);
    using _ = decoder;
    const logits = tidy(() => noGrad(() => decoder.forward(tensor(ids), { counts: [ids.length] })));
    const ours = await logits.data();
    logits.dispose();
    const largest = Math.max(...theirs.logits.map(Math.abs));
    t.is(ours.length, theirs.logits.length);
    for (const [i, logit] of ours.entries())
      t.true(Math.abs(logit - theirs.logits[i]) <= 1e-4 * largest);
  },
);
