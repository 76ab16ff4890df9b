import type { ConfigReader } from "../config-reader.js";
import type { LlmFamily } from "../family.js";
import { ropeOf } from "../rope.js";
import { gemma2, normAfterOptions, softCap } from "./gemma2.js";
import { slidingWindow, windowsOf } from "./shared.js";

/** The text models of Gemma 3: layers with a window turn by a base of their own. */
export const gemma3: LlmFamily = {
  ...gemma2,
  name: "Gemma 3 (text)",
  modelType: "gemma3_text",
  architecture: "Gemma3ForCausalLM",
  names: {
    ...gemma2.names,
    "layers.*.attention.queryNorm": "model.layers.*.self_attn.q_norm",
    "layers.*.attention.keyNorm": "model.layers.*.self_attn.k_norm",
  },
  options(config) {
    // Transformers reads it and then attends without.
    if (config.has("attn_logit_softcapping"))
      throw config.error("attn_logit_softcapping", "is not supported in Gemma 3");
    const options = normAfterOptions(config, { kind: "full_attention", base: 1_000_000 });
    const { layers, attention, headWidth = 256 } = options;
    const full = patternOf(config);
    return {
      ...options,
      windowPositions: ropeOf(config, headWidth, {
        ...{ kind: "sliding_attention", base: 10_000, baseKey: "rope_local_base_freq" },
        scaled: false,
      }),
      windows: windowsOf(config, layers, slidingWindow(config, 4096), (i) => (i + 1) % full !== 0),
      attention: { ...attention, queryKeyNorm: true },
      softCap: softCap(config, "final_logit_softcapping"),
    };
  },
};

/** Of how many layers one sees everything. */
function patternOf(config: ConfigReader): number {
  return config.count("sliding_window_pattern", config.count("_sliding_window_pattern", 6));
}
