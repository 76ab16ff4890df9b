import type { ConfigReader } from "../config-reader.js";
import type { DecoderOptions } from "../decoder-options.js";
import type { LlmFamily } from "../family.js";
import { headsOf, plainActivations } from "./shared.js";

/** GPT-2: learned positions; its matrices lie transposed. */
export const gpt2: LlmFamily = {
  name: "GPT-2",
  modelType: "gpt2",
  architecture: "GPT2LMHeadModel",
  prefix: "transformer.",
  names: {
    embedding: "transformer.wte",
    positions: "transformer.wpe",
    "layers.*.attentionNorm": "transformer.h.*.ln_1",
    "layers.*.attention.qkv": { name: "transformer.h.*.attn.c_attn", layout: "transposed" },
    "layers.*.attention.output": { name: "transformer.h.*.attn.c_proj", layout: "transposed" },
    "layers.*.mlpNorm": "transformer.h.*.ln_2",
    "layers.*.mlp.up": { name: "transformer.h.*.mlp.c_fc", layout: "transposed" },
    "layers.*.mlp.down": { name: "transformer.h.*.mlp.c_proj", layout: "transposed" },
    norm: "transformer.ln_f",
    head: "lm_head",
  },
  ignored: [/\.attn\.(masked_)?bias$/],
  options,
};

function options(config: ConfigReader): DecoderOptions {
  const { width, heads } = headsOf(config, { width: "n_embd", heads: "n_head" });
  config.expect("scale_attn_by_inverse_layer_idx", false);
  return {
    ...{ width, heads },
    vocabulary: config.count("vocab_size"),
    layers: config.count("n_layer"),
    hiddenWidth: config.count("n_inner", 4 * width),
    maxPositions: config.count("n_positions"),
    norm: { kind: "layer", eps: config.positive("layer_norm_epsilon", 1e-5) },
    positions: "learned",
    attention: {
      ...{ packed: true, inputBias: true, outputBias: true },
      scale: config.boolean("scale_attn_weights", true) ? undefined : 1,
    },
    mlp: {
      kind: "plain",
      activation: config.choice("activation_function", plainActivations, "gelu_new"),
      bias: true,
    },
    tied: config.boolean("tie_word_embeddings", true),
    dropout: {
      attention: config.number("attn_pdrop", 0.1),
      residual: config.number("resid_pdrop", 0.1),
      embedding: config.number("embd_pdrop", 0.1),
    },
  };
}
