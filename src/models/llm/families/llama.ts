import type { GateActivation } from "../../../ops/index.js";
import type { ConfigReader } from "../config-reader.js";
import type { DecoderOptions } from "../decoder-options.js";
import type { LlmFamily, NameTable } from "../family.js";
import { type RopeKeys, ropeOf } from "../rope.js";
import { gateActivations, headsOf } from "./shared.js";

/** The names that Llama's descendants share. */
export const llamaNames: NameTable = {
  embedding: "model.embed_tokens",
  "layers.*.attentionNorm": "model.layers.*.input_layernorm",
  "layers.*.attention.query": "model.layers.*.self_attn.q_proj",
  "layers.*.attention.key": "model.layers.*.self_attn.k_proj",
  "layers.*.attention.value": "model.layers.*.self_attn.v_proj",
  "layers.*.attention.output": "model.layers.*.self_attn.o_proj",
  "layers.*.mlpNorm": "model.layers.*.post_attention_layernorm",
  "layers.*.mlp.gate": "model.layers.*.mlp.gate_proj",
  "layers.*.mlp.up": "model.layers.*.mlp.up_proj",
  "layers.*.mlp.down": "model.layers.*.mlp.down_proj",
  norm: "model.norm",
  head: "lm_head",
};

/** What a descendant of Llama has settled, which Llama's configuration may say. */
export interface LlamaVariant {
  /** Biases of all projections of attention. Default: as `attention_bias` says. */
  readonly attentionBias?: boolean | undefined;
  /** Biases of the MLP. Default: as `mlp_bias` says. */
  readonly mlpBias?: boolean | undefined;
  /** Default: as `hidden_act` says. */
  readonly activation?: GateActivation | undefined;
  /** Where `head_dim` is missing. Default: the width by the heads. */
  readonly headWidth?: number | undefined;
  /** How rotary positions are worded. */
  readonly rope?: RopeKeys | undefined;
}

/** The options that Llama's descendants share. */
export function llamaOptions(config: ConfigReader, variant: LlamaVariant = {}): DecoderOptions {
  const { attentionBias = config.boolean("attention_bias", false) } = variant;
  const { mlpBias = config.boolean("mlp_bias", false) } = variant;
  const { activation = config.choice("hidden_act", gateActivations, "silu") } = variant;
  const heads = headsOf(config, undefined, variant.headWidth);
  return {
    ...heads,
    vocabulary: config.count("vocab_size"),
    layers: config.count("num_hidden_layers"),
    hiddenWidth: config.count("intermediate_size"),
    maxPositions: config.count("max_position_embeddings", 2048),
    norm: { kind: "rms", eps: config.positive("rms_norm_eps", 1e-6) },
    positions: ropeOf(config, heads.headWidth, variant.rope),
    attention: { inputBias: attentionBias, outputBias: attentionBias },
    mlp: { kind: "gated", activation, bias: mlpBias },
    tied: config.boolean("tie_word_embeddings", false),
    dropout: { attention: config.number("attention_dropout", 0) },
  };
}

/** Llama 1 to 3, and what has its shape: SmolLM, TinyLlama. */
export const llama: LlmFamily = {
  name: "Llama",
  modelType: "llama",
  architecture: "LlamaForCausalLM",
  prefix: "model.",
  names: llamaNames,
  ignored: [/\.rotary_emb\.inv_freq$/],
  options(config) {
    config.expect("pretraining_tp", 1);
    return llamaOptions(config);
  },
};
