import type { ConfigReader } from "../config-reader.js";
import type { DecoderOptions } from "../decoder-options.js";
import type { LlmFamily } from "../family.js";
import { headsOf, plainActivations } from "./shared.js";

/** GPT-Neo: every other layer sees a window, and scores are not scaled. */
export const gptNeo: LlmFamily = {
  name: "GPT-Neo",
  modelType: "gpt_neo",
  architecture: "GPTNeoForCausalLM",
  prefix: "transformer.",
  names: {
    embedding: "transformer.wte",
    positions: "transformer.wpe",
    "layers.*.attentionNorm": "transformer.h.*.ln_1",
    "layers.*.attention.query": "transformer.h.*.attn.attention.q_proj",
    "layers.*.attention.key": "transformer.h.*.attn.attention.k_proj",
    "layers.*.attention.value": "transformer.h.*.attn.attention.v_proj",
    "layers.*.attention.output": "transformer.h.*.attn.attention.out_proj",
    "layers.*.mlpNorm": "transformer.h.*.ln_2",
    "layers.*.mlp.up": "transformer.h.*.mlp.c_fc",
    "layers.*.mlp.down": "transformer.h.*.mlp.c_proj",
    norm: "transformer.ln_f",
    head: "lm_head",
  },
  ignored: [/\.attn\.attention\.(masked_)?bias$/],
  options,
};

function options(config: ConfigReader): DecoderOptions {
  const { width, heads } = headsOf(config, { width: "hidden_size", heads: "num_heads" });
  const layers = config.count("num_layers");
  return {
    ...{ width, heads, layers },
    vocabulary: config.count("vocab_size"),
    hiddenWidth: config.count("intermediate_size", 4 * width),
    maxPositions: config.count("max_position_embeddings"),
    norm: { kind: "layer", eps: config.positive("layer_norm_epsilon", 1e-5) },
    positions: "learned",
    windows: windowsOf(config, layers),
    attention: { outputBias: true, scale: 1 },
    mlp: {
      kind: "plain",
      activation: config.choice("activation_function", plainActivations, "gelu_new"),
      bias: true,
    },
    tied: config.boolean("tie_word_embeddings", true),
    dropout: {
      attention: config.number("attention_dropout", 0),
      residual: config.number("resid_dropout", 0),
      embedding: config.number("embed_dropout", 0),
    },
  };
}

/** `attention_layers` names each layer; `attention_types` repeats a pattern. */
function windowsOf(config: ConfigReader, layers: number): (number | undefined)[] {
  const key = config.has("attention_layers") ? "attention_layers" : "attention_types";
  const kinds =
    key === "attention_layers" ? config.texts(key) : repeated(config.json.attention_types);
  const window = config.count("window_size", 256);
  if (kinds?.length !== layers)
    throw config.error(key, `must name the attention of ${layers} layers`);
  return kinds.map((kind) => {
    if (kind !== "global" && kind !== "local")
      throw config.error(key, 'must be "global" or "local"');
    return kind === "local" ? window : undefined;
  });
}

/** `[[["global", "local"], 4]]` → the eight names; undefined where it is something else. */
function repeated(types: unknown): string[] | undefined {
  if (!Array.isArray(types)) return undefined;
  return types.flatMap((entry: unknown) => {
    const [kinds, times] = Array.isArray(entry) ? (entry as unknown[]) : [];
    if (!Array.isArray(kinds) || !Number.isInteger(times) || (times as number) > 1_000) return [];
    return Array.from({ length: times as number }, () => kinds as string[]).flat();
  });
}
