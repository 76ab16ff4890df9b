import type { LlmFamily } from "../family.js";
import { llama, llamaNames, llamaOptions } from "./llama.js";
import { qwenWindows } from "./qwen2.js";

/** Qwen 3 without experts: queries and keys are normalised. */
export const qwen3: LlmFamily = {
  ...llama,
  name: "Qwen3",
  modelType: "qwen3",
  architecture: "Qwen3ForCausalLM",
  names: {
    ...llamaNames,
    "layers.*.attention.queryNorm": "model.layers.*.self_attn.q_norm",
    "layers.*.attention.keyNorm": "model.layers.*.self_attn.k_norm",
  },
  options(config) {
    const options = llamaOptions(config, { mlpBias: false, headWidth: 128 });
    return {
      ...options,
      windows: qwenWindows(config, options.layers),
      attention: { ...options.attention, queryKeyNorm: true },
    };
  },
};
