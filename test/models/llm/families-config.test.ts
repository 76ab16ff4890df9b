/** What each family reads of `config.json`, in the wording of transformers 4 and 5, and what it refuses. */
import test from "ava";
import { CheckpointError } from "../../../src/errors.js";
import { ConfigReader, type DecoderOptions, familyOf } from "../../../src/models/index.js";
import { goldenConfig, readGolden } from "./golden-case.js";

type Json = Record<string, unknown>;

/** A golden configuration with other values; `undefined` removes a key. */
function optionsOf(name: string, patch: Json = {}): DecoderOptions {
  const entries = Object.entries({ ...goldenConfig(name), ...patch });
  const json = Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  const config = new ConfigReader(json);
  return familyOf(config).options(config);
}

const keys = readGolden<Record<string, string[]>>("keys.json");
const families = Object.keys(keys).map((type) => ({
  type,
  name:
    { gpt_neo: "gpt-neo", gpt_neox: "gpt-neox", gemma3_text: "gemma3", qwen2: "qwen2-windows" }[
      type
    ] ?? type,
}));

/** Keys that change no logits. */
const harmless = [
  ...["_name_or_path", "transformers_version", "dtype", "initializer_range", "use_cache"],
  ...["bos_token_id", "eos_token_id", "pad_token_id", "return_dict", "chunk_size_feed_forward"],
  ...["output_attentions", "output_hidden_states", "id2label", "label2id", "problem_type"],
  ...["summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type"],
  ...["summary_use_proj", "classifier_dropout", "is_decoder", "reorder_and_upcast_attn"],
];

for (const { type, name } of families)
  test(`${type}: every key that transformers knows is read, refused, or known to be harmless`, (t) => {
    const otherwise = { layer_types: undefined, attention_layers: undefined };
    for (const key of keys[type]!) {
      // Where it is missing the family has a rule of its own, whose keys are then read.
      const free = key in otherwise ? {} : otherwise;
      const read = () => optionsOf(name, { ...free, [key]: "nonsense" });
      if (harmless.includes(key)) t.notThrows(read, key);
      else t.throws(read, { instanceOf: CheckpointError, message: new RegExp(`\\b${key}\\b`) });
    }
  });

for (const { type, name } of families)
  test(`${type}: another number, or the contrary, is another model or none`, (t) => {
    const config = goldenConfig(name);
    const options = optionsOf(name);
    let changed = 0;
    for (const key of keys[type]!.filter((each) => !harmless.includes(each))) {
      const value = config[key];
      if (typeof value !== "number" && typeof value !== "boolean") continue;
      // Layers that are named one by one follow no rule.
      if (["max_window_layers", "_sliding_window_pattern"].includes(key)) continue;
      const other = typeof value === "number" ? 2 * value + 1 : !value;
      let read: DecoderOptions | undefined;
      try {
        read = optionsOf(name, { [key]: other });
      } catch (error) {
        t.regex((error as Error).message, /^config\.json: /, key);
      }
      t.notDeepEqual(read, options, key);
      changed++;
    }
    t.true(changed >= 8, `${changed}`);
  });

const llama3 = {
  ...{ rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 },
  original_max_position_embeddings: 16,
};
const sliding = "sliding_attention";
const full = "full_attention";

/** The same model in two wordings. */
const wordings: readonly (readonly [string, string, Json, Json])[] = [
  [
    "llama3 scaling",
    "llama",
    { rope_parameters: undefined, rope_theta: 5e5, rope_scaling: llama3 },
    { rope_parameters: { ...llama3, rope_theta: 5e5 } },
  ],
  [
    "llama3 scaling of the positions that the model has",
    "llama",
    { rope_parameters: { ...llama3, original_max_position_embeddings: 64 } },
    { rope_parameters: { ...llama3, original_max_position_embeddings: undefined } },
  ],
  [
    "llama3 scaling of positions that stand outside",
    "llama",
    { rope_parameters: { ...llama3, original_max_position_embeddings: 32 } },
    { rope_parameters: llama3, original_max_position_embeddings: 32 },
  ],
  [
    "linear scaling",
    "llama",
    { rope_parameters: undefined, rope_scaling: { type: "linear", factor: 2 } },
    { rope_parameters: { rope_type: "linear", factor: 2, rope_theta: 10_000 } },
  ],
  [
    "no scaling",
    "llama",
    { rope_parameters: undefined, rope_scaling: null },
    { rope_parameters: { rope_type: "default" } },
  ],
  [
    "a part of each head",
    "gpt-neox",
    { rope_parameters: undefined, rotary_pct: 0.5, rotary_emb_base: 500 },
    { rope_parameters: { partial_rotary_factor: 0.5, rope_theta: 500 } },
  ],
  [
    "the usual part of each head",
    "gpt-neox",
    { rope_parameters: undefined },
    { rope_parameters: { partial_rotary_factor: 0.25, rope_theta: 10_000 } },
  ],
  [
    "windows in later layers",
    "qwen2",
    { layer_types: undefined, use_sliding_window: true, sliding_window: 7, max_window_layers: 1 },
    { layer_types: [full, sliding, sliding], use_sliding_window: true, sliding_window: 7 },
  ],
  [
    "windows that are not used",
    "qwen3",
    { layer_types: undefined, use_sliding_window: false, max_window_layers: 1 },
    { layer_types: [full, full, full], use_sliding_window: true },
  ],
  [
    "a GELU by its old name",
    "gemma",
    { hidden_act: "gelu", hidden_activation: null },
    { hidden_act: "gelu_pytorch_tanh" },
  ],
  [
    "every other layer",
    "gemma2",
    { layer_types: undefined },
    { layer_types: [sliding, full, sliding] },
  ],
  [
    "two bases",
    "gemma3",
    {
      ...{ rope_parameters: undefined, rope_theta: 1e5, rope_local_base_freq: 500 },
      ...{ rope_scaling: { rope_type: "linear", factor: 8 } },
      ...{ layer_types: undefined, sliding_window_pattern: 2 },
    },
    {
      rope_parameters: {
        full_attention: { rope_type: "linear", factor: 8, rope_theta: 1e5 },
        sliding_attention: { rope_type: "default", rope_theta: 500 },
      },
      layer_types: [sliding, full, sliding, full],
    },
  ],
  [
    "the usual bases",
    "gemma3",
    { rope_parameters: undefined },
    {
      rope_parameters: {
        full_attention: { rope_theta: 1e6 },
        sliding_attention: { rope_theta: 1e4 },
      },
    },
  ],
];

for (const [title, name, one, other] of wordings)
  test(`${name}: ${title}, in two wordings`, (t) => {
    t.deepEqual(optionsOf(name, one), optionsOf(name, other));
    t.notDeepEqual(optionsOf(name, one), { ...optionsOf(name, one), vocabulary: 1 });
  });

test("what is missing is what the family's class says, and null is none", (t) => {
  const gone = { sliding_window: undefined };
  t.deepEqual(optionsOf("mistral", gone).windows, [4096, 4096, 4096]);
  t.deepEqual(optionsOf("mistral", { sliding_window: null }).windows, [
    undefined,
    undefined,
    undefined,
  ]);
  t.deepEqual(optionsOf("mistral").windows, [4, 4, 4]);
  const caps = { attn_logit_softcapping: undefined, final_logit_softcapping: undefined };
  t.is(optionsOf("gemma2", caps).attention?.softCap, 50);
  t.is(optionsOf("gemma2", caps).softCap, 30);
  const none = { attn_logit_softcapping: null, final_logit_softcapping: null };
  t.is(optionsOf("gemma2", none).attention?.softCap, undefined);
  t.is(optionsOf("gemma2", none).softCap, undefined);
  t.is(optionsOf("gemma3", caps).softCap, undefined);
  t.is(optionsOf("gemma3", { final_logit_softcapping: 20 }).softCap, 20);
  const seven = { num_hidden_layers: 7, layer_types: undefined };
  const windows = [4, 4, 4, 4, 4, undefined, 4];
  t.deepEqual(optionsOf("gemma3", seven).windows, windows);
  t.is(optionsOf("gemma", { head_dim: undefined }).headWidth, 256);
  t.is(optionsOf("qwen3", { head_dim: undefined }).headWidth, 128);
  t.is(optionsOf("llama", { head_dim: undefined }).headWidth, 4);
  t.is(optionsOf("llama", { num_key_value_heads: undefined }).kvHeads, 6);
  for (const { name } of families) {
    const { tied } = optionsOf(name, { tie_word_embeddings: undefined });
    t.is(tied, name.startsWith("gemma") || name === "gpt2" || name === "gpt-neo", name);
  }
});

const parts = (patch: Json): Json => ({
  rope_parameters: { full_attention: { rope_theta: 1, ...patch }, sliding_attention: {} },
});

/** What changes a model's logits in a way that is not done here. */
const refusals: readonly (readonly [string, Json, RegExp])[] = [
  [
    "llama",
    { model_type: "mamba" },
    /model_type is not supported; supported are gpt2, .*got "mamba"/,
  ],
  ["llama", { architectures: ["LlamaForSequenceClassification"] }, /architectures must be/],
  ["llama", { quantization_config: { bits: 4 } }, /quantization_config .* must not be quantised/],
  ["llama", { auto_map: { AutoModelForCausalLM: "x.Y" } }, /auto_map names a model with code/],
  ["llama", { is_causal: false }, /is_causal is supported only as true/],
  ["llama", { per_layer_config: { 0: { head_dim: 2 } } }, /per_layer_config is not supported/],
  ["llama", { pruned_heads: { 0: [1] } }, /pruned_heads is not supported/],
  ["gpt2", { add_cross_attention: true }, /add_cross_attention is supported only as false/],
  ["gpt2", { is_encoder_decoder: true }, /is_encoder_decoder is supported only as false/],
  ["gpt2", { scale_attn_by_inverse_layer_idx: true }, /scale_attn_by_inverse_layer_idx/],
  ["gpt2", { activation_function: "tanh" }, /activation_function must be "gelu" or/],
  ["gpt2", { n_head: 5 }, /n_head must divide n_embd, 24, got 5/],
  ["gpt-neo", { attention_layers: ["global"] }, /must name the attention of 4 layers/],
  ["gpt-neo", { attention_layers: ["global", "local", "global", "far"] }, /"global" or "local"/],
  ["gpt-neo", { num_heads: 5 }, /num_heads must divide hidden_size, 24/],
  ["gpt-neox", { hidden_act: "gelu_10" }, /hidden_act must be/],
  ["gpt-neox", { rope_parameters: { partial_rotary_factor: 0.4 } }, /even number of a head's 8/],
  ["gpt-neox", { rope_parameters: { partial_rotary_factor: 2 } }, /of a head's 8 elements, not 16/],
  ["llama", { hidden_act: "gelu" }, /hidden_act must be "silu" or/],
  ["llama", { pretraining_tp: 2 }, /pretraining_tp is supported only as 1/],
  ["llama", { num_key_value_heads: 4 }, /num_key_value_heads must divide num_attention_heads, 6/],
  ["llama", { rms_norm_eps: 0 }, /rms_norm_eps must be a number above 0/],
  [
    "llama",
    { rope_parameters: { rope_theta: -1 } },
    /rope_parameters\.rope_theta must be a number above/,
  ],
  ["llama", { partial_rotary_factor: 0.5 }, /partial_rotary_factor is supported only as 1/],
  ["llama", { rope_parameters: { partial_rotary_factor: 0.5 } }, /rope_parameters\.partial_rotary/],
  [
    "llama",
    { rope_parameters: { [full]: {} } },
    /rope_parameters\.full_attention is not supported/,
  ],
  ["llama", { rope_scaling: { type: "linear" } }, /rope_scaling must not be there beside/],
  ["llama", { rope_parameters: { factor: 2 } }, /rope_parameters\.rope_type must be there/],
  ["llama", { rope_parameters: { rope_type: "linear", factor: 0.5 } }, /factor must be at least 1/],
  [
    "llama",
    { rope_parameters: { ...llama3, high_freq_factor: 1 } },
    /must be above low_freq_factor/,
  ],
  ...["yarn", "longrope", "dynamic", "mrope", "su", "proportional"].map(
    (type) =>
      [
        "llama",
        { rope_parameters: undefined, rope_scaling: { type, factor: 2 } },
        new RegExp(`rope_scaling\\.type must be "default" or "linear" or "llama3", got "${type}"`),
      ] as const,
  ),
  ["mistral", { layer_types: [full, full, full] }, /layer_types is not supported in Mistral/],
  ["qwen2", { layer_types: [full] }, /layer_types must name the attention of 3 layers/],
  ["qwen2", { layer_types: [full, full, "chunked_attention"] }, /"full_attention" or "sliding/],
  [
    "qwen2",
    { layer_types: [full, full, sliding], use_sliding_window: false },
    /layer_types has a sliding_attention, which needs a sliding_window/,
  ],
  ["gemma", { use_bidirectional_attention: true }, /use_bidirectional_attention is supported only/],
  [
    "gemma",
    { hidden_act: "silu" },
    /hidden_act is supported only as "gelu" or "gelu_pytorch_tanh"/,
  ],
  ["gemma", { hidden_activation: "gelu" }, /hidden_activation is supported only as/],
  ["gemma2", { hidden_activation: "gelu" }, /hidden_activation is supported only as/],
  ["gemma2", { attn_logit_softcapping: 0 }, /attn_logit_softcapping must be a number above 0/],
  ["gemma2", { query_pre_attn_scalar: 0 }, /query_pre_attn_scalar must be a number above 0/],
  ["gemma3", { attn_logit_softcapping: 50 }, /attn_logit_softcapping is not supported in Gemma 3/],
  [
    "gemma3",
    { model_type: "gemma3", text_config: {} },
    /model_type is of a model of more than text, with a text_config; .*, got "gemma3"$/,
  ],
  [
    "gemma3",
    { rope_parameters: { rope_theta: 1e4 } },
    /must have an object for each kind of layers/,
  ],
  ["gemma3", parts({ rope_type: "yarn" }), /rope_parameters\.full_attention\.rope_type must be/],
];

for (const [name, patch, message] of refusals)
  test(`${name} with ${JSON.stringify(patch)} is refused`, (t) => {
    t.notThrows(() => optionsOf(name));
    t.throws(() => optionsOf(name, patch), { instanceOf: CheckpointError, message });
  });
