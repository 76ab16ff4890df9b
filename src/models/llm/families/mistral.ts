import type { LlmFamily } from "../family.js";
import { llama, llamaOptions } from "./llama.js";
import { slidingWindow } from "./shared.js";

/** Mistral: Llama with a window, in all layers or in none. */
export const mistral: LlmFamily = {
  ...llama,
  name: "Mistral",
  modelType: "mistral",
  architecture: "MistralForCausalLM",
  options(config) {
    // Transformers 5 warns of it and goes on without.
    if (config.has("layer_types")) throw config.error("layer_types", "is not supported in Mistral");
    const options = llamaOptions(config, { attentionBias: false, mlpBias: false });
    const window = slidingWindow(config, 4096);
    return { ...options, windows: new Array(options.layers).fill(window) };
  },
};
