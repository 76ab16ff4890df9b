/** A small model with random weights and a byte-level tokenizer: it babbles, but always the same. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LanguageModel } from "../../src/generate/index.js";
import { Decoder, type DecoderOptions, llmFamilies } from "../../src/models/index.js";
import { Generator } from "../../src/ops/index.js";
import { Tokenizer, trainByteLevelBpe } from "../../src/tokenizers/index.js";

const texts = [
  "the cat and the other cat sat there",
  "the hat is on the cat",
  "naïve café — 你好, 你好",
];

let tokenizer: Promise<Tokenizer> | undefined;

async function makeTokenizer(): Promise<Tokenizer> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-tiny-"));
  try {
    const specialTokens = ["<begin>", "<end>"];
    const json = await trainByteLevelBpe(texts, { vocabulary: 280, specialTokens });
    await writeFile(join(folder, "tokenizer.json"), JSON.stringify(json));
    return await Tokenizer.load(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** @param options of the decoder, where they are to differ */
export async function tinyModel(options: Partial<DecoderOptions> = {}): Promise<LanguageModel> {
  tokenizer ??= makeTokenizer();
  const words = await tokenizer;
  using generator = new Generator(5);
  const decoder = new Decoder(
    {
      ...{ vocabulary: words.vocabularySize, width: 32, layers: 2, heads: 4, kvHeads: 2 },
      ...{ hiddenWidth: 48, maxPositions: 96 },
      norm: { kind: "rms", eps: 1e-6 },
      positions: { style: "half" },
      mlp: { kind: "gated", activation: "silu" },
      ...options,
    },
    { std: 0.3, generator },
  ).eval();
  return new LanguageModel({
    decoder,
    tokenizer: words,
    family: llmFamilies.find(({ modelType }) => modelType === "llama")!,
    config: {},
    generation: { endTokens: [words.id("<end>")!], recommended: {} },
    folder: "tiny",
  });
}
