/** What the configurations of several families say in the same words. */
import type { ConfigReader } from "../config-reader.js";

/** Activations of plain MLPs by their names in transformers; those that compute the tanh form in other orders are one. */
export const plainActivations = {
  gelu: "geluExact",
  gelu_new: "gelu",
  gelu_fast: "gelu",
  gelu_pytorch_tanh: "gelu",
  relu: "relu",
  silu: "silu",
  swish: "silu",
} as const;

/** Activations of gated MLPs by their names in transformers. */
export const gateActivations = {
  silu: "silu",
  swish: "silu",
  gelu_new: "gelu",
  gelu_fast: "gelu",
  gelu_pytorch_tanh: "gelu",
} as const;

interface Heads {
  readonly width: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headWidth: number;
}

/** Heads and their width, which must fit each other. */
export function headsOf(
  config: ConfigReader,
  keys: { readonly width: string; readonly heads: string } = {
    width: "hidden_size",
    heads: "num_attention_heads",
  },
  defaultHeadWidth?: number,
): Heads {
  const width = config.count(keys.width);
  const heads = config.count(keys.heads);
  const kvHeads = config.count("num_key_value_heads", heads);
  const headWidth = config.count("head_dim", defaultHeadWidth ?? width / heads);
  if (!Number.isInteger(headWidth))
    throw config.error(keys.heads, `must divide ${keys.width}, ${width}`);
  if (heads % kvHeads !== 0)
    throw config.error("num_key_value_heads", `must divide ${keys.heads}, ${heads}`);
  return { width, heads, kvHeads, headWidth };
}

/** `sliding_window`: where it is `null` there is none, and where it is missing it is the family's. */
export function slidingWindow(config: ConfigReader, otherwise: number): number | undefined {
  return config.json.sliding_window === null
    ? undefined
    : config.count("sliding_window", otherwise);
}

/**
 * What each layer sees: `layer_types` names it; where it is missing the family has a rule.
 *
 * @param slides whether a layer has the window, by the family's rule
 */
export function windowsOf(
  config: ConfigReader,
  layers: number,
  window: number | undefined,
  slides: (layer: number) => boolean,
): (number | undefined)[] {
  if (!config.has("layer_types"))
    return Array.from({ length: layers }, (_, layer) => (slides(layer) ? window : undefined));
  const types = config.texts("layer_types");
  if (types.length !== layers)
    throw config.error("layer_types", `must name the attention of ${layers} layers`);
  return types.map((type) => {
    if (type !== "full_attention" && type !== "sliding_attention")
      throw config.error("layer_types", 'must be "full_attention" or "sliding_attention"');
    if (type === "sliding_attention" && window === undefined)
      throw config.error("layer_types", "has a sliding_attention, which needs a sliding_window");
    return type === "sliding_attention" ? window : undefined;
  });
}
