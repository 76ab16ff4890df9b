import type { ConfigReader } from "../config-reader.js";
import type { DecoderOptions } from "../decoder-options.js";
import type { LlmFamily } from "../family.js";
import type { RopeKeys } from "../rope.js";
import { llama, llamaOptions } from "./llama.js";

/** Gemma 1: norms scale by 1 + weight, and embeddings are multiplied by √width. */
export const gemma: LlmFamily = {
  ...llama,
  name: "Gemma",
  modelType: "gemma",
  architecture: "GemmaForCausalLM",
  options(config) {
    // Both were written for the tanh form: "gelu" by the first releases, whose weights were trained with the other.
    config.expect("hidden_act", "gelu", "gelu_pytorch_tanh");
    config.expect("hidden_activation", "gelu_pytorch_tanh");
    return gemmaOptions(config);
  },
};

/** The options that all Gemmas share. */
export function gemmaOptions(config: ConfigReader, rope?: RopeKeys): DecoderOptions {
  const options = llamaOptions(config, {
    mlpBias: false,
    headWidth: 256,
    activation: "gelu",
    rope,
  });
  return {
    ...options,
    norm: { ...options.norm, unitOffset: true },
    tied: config.boolean("tie_word_embeddings", true),
    embeddingScale: Math.sqrt(options.width),
  };
}
