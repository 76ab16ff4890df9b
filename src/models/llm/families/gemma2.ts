import type { ConfigReader } from "../config-reader.js";
import type { DecoderOptions } from "../decoder-options.js";
import type { LlmFamily } from "../family.js";
import type { RopeKeys } from "../rope.js";
import { gemma, gemmaOptions } from "./gemma.js";
import { llamaNames } from "./llama.js";
import { slidingWindow, windowsOf } from "./shared.js";

/** Gemma 2: norms after as well as before, limited scores and logits, and a window in every other layer. */
export const gemma2: LlmFamily = {
  ...gemma,
  name: "Gemma 2",
  modelType: "gemma2",
  architecture: "Gemma2ForCausalLM",
  names: {
    ...llamaNames,
    "layers.*.attentionNormAfter": "model.layers.*.post_attention_layernorm",
    "layers.*.mlpNorm": "model.layers.*.pre_feedforward_layernorm",
    "layers.*.mlpNormAfter": "model.layers.*.post_feedforward_layernorm",
  },
  options(config) {
    const options = normAfterOptions(config);
    const { layers, attention } = options;
    return {
      ...options,
      windows: windowsOf(config, layers, slidingWindow(config, 4096), (layer) => layer % 2 === 0),
      attention: { ...attention, softCap: softCap(config, "attn_logit_softcapping", 50) },
      softCap: softCap(config, "final_logit_softcapping", 30),
    };
  },
};

/** What Gemma 2 and 3 share beyond the first. */
export function normAfterOptions(config: ConfigReader, rope?: RopeKeys): DecoderOptions {
  config.expect("hidden_activation", "gelu_pytorch_tanh");
  const options = gemmaOptions(config, rope);
  const scale = config.positive("query_pre_attn_scalar", 256) ** -0.5;
  return { ...options, normAfter: true, attention: { ...options.attention, scale } };
}

/** Where it is `null` there is no limit, and where it is missing it is the family's. */
export function softCap(config: ConfigReader, key: string, otherwise?: number): number | undefined {
  const none = config.json[key] === null || (otherwise === undefined && !config.has(key));
  return none ? undefined : config.positive(key, otherwise);
}
