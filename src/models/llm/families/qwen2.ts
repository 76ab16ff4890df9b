import type { ConfigReader } from "../config-reader.js";
import type { LlmFamily } from "../family.js";
import { llama, llamaOptions } from "./llama.js";
import { slidingWindow, windowsOf } from "./shared.js";

/** Qwen 2 and 2.5: Llama with biases of queries, keys and values, and a window in the later layers. */
export const qwen2: LlmFamily = {
  ...llama,
  name: "Qwen2",
  modelType: "qwen2",
  architecture: "Qwen2ForCausalLM",
  options(config) {
    const options = llamaOptions(config, { attentionBias: true, mlpBias: false });
    return {
      ...options,
      windows: qwenWindows(config, options.layers),
      attention: { inputBias: true, outputBias: false },
    };
  },
};

/** With `use_sliding_window`, layers from `max_window_layers` on have a window. */
export function qwenWindows(config: ConfigReader, layers: number): (number | undefined)[] {
  const slides = config.boolean("use_sliding_window", false);
  const window = slidingWindow(config, 4096);
  const first = config.number("max_window_layers", 28);
  return windowsOf(config, layers, slides ? window : undefined, (layer) => layer >= first);
}
