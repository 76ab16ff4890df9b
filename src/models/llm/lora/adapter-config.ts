/** `adapter_config.json` as PEFT writes and reads it. */
import { CheckpointError } from "../../../errors.js";
import type { LoraLinear } from "../../../nn/index.js";
import type { ConfigReader } from "../config-reader.js";
import { valueFor } from "./targets.js";

/** What is read of a configuration. */
export interface AdapterConfig {
  readonly dropout: number;
  readonly rankStabilized: boolean;
  /** The model it was trained on, as its author called it. */
  readonly baseModel: string | undefined;
  rankOf(name: string): number;
  alphaOf(name: string): number;
  /** Whether the layer is among the targets; the tensors decide where that takes a regular expression. */
  targets(name: string): boolean;
}

/** Options that change nothing that is loaded, or that are read. */
const harmless = new Set([
  ...["alpha_pattern", "auto_mapping", "base_model_name_or_path", "corda_config", "eva_config"],
  ...["exclude_modules", "fan_in_fan_out", "inference_mode", "layers_pattern"],
  ...["layers_to_transform", "lora_alpha", "lora_dropout", "lora_ga_config", "megatron_config"],
  ...["megatron_core", "peft_version", "r", "rank_pattern", "revision", "runtime_config"],
  ...["target_modules", "use_rslora"],
]);

/** The values of other options that mean what is done here. */
const supported: Readonly<Record<string, readonly (string | boolean)[]>> = {
  peft_type: ["LORA"],
  task_type: ["CAUSAL_LM"],
  bias: ["none"],
  // Those that are missing change the base's weights, too.
  init_lora_weights: [true, false, "gaussian", "eva", "orthogonal"],
};

/**
 * @throws CheckpointError for what is not supported, by name: DoRA, biases, modules that were trained in full, whatever
 * else PEFT can do and is turned on
 */
export function readAdapterConfig(config: ConfigReader): AdapterConfig {
  config.text("peft_type");
  for (const [key, value] of Object.entries(config.json))
    if (key in supported) config.expect(key, ...supported[key]!);
    else if (!harmless.has(key) && isOn(value)) throw config.error(key, "is not supported");
  const rank = config.count("r", 8);
  const alpha = config.number("lora_alpha", 8);
  const ranks = patternsOf(config, "rank_pattern");
  const alphas = patternsOf(config, "alpha_pattern");
  return {
    dropout: dropoutOf(config),
    rankStabilized: config.boolean("use_rslora", false),
    baseModel: config.has("base_model_name_or_path")
      ? config.text("base_model_name_or_path")
      : undefined,
    rankOf: (name) => valueFor(ranks, name, rank),
    alphaOf: (name) => valueFor(alphas, name, alpha),
    targets: targetsOf(config),
  };
}

/** Numbers alone turn nothing on. */
function isOn(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return value === true || typeof value === "string";
}

function dropoutOf(config: ConfigReader): number {
  const dropout = config.number("lora_dropout", 0);
  if (dropout >= 0 && dropout < 1) return dropout;
  throw config.error("lora_dropout", "must be from 0 to below 1");
}

/** Keys are regular expressions to PEFT; those that are names are understood. */
function patternsOf(config: ConfigReader, option: string): Record<string, number> {
  const section = config.section(option);
  if (!section) return {};
  return Object.fromEntries(
    Object.keys(section.json).map((key) => {
      const name = key.replace(/^\^/, "").replaceAll("\\.", ".");
      if (!/^[\w.]+$/.test(name))
        throw section.error(key, "is a regular expression, which is not supported here; names are");
      return [name, option === "rank_pattern" ? section.count(key) : section.number(key)];
    }),
  );
}

function targetsOf(config: ConfigReader): (name: string) => boolean {
  const some = ["exclude_modules", "layers_to_transform"].some((key) => config.has(key));
  if (typeof config.json.target_modules === "string" || some) return () => true;
  const ends = config.texts("target_modules");
  return (name) => ends.some((end) => name === end || name.endsWith(`.${end}`));
}

/**
 * What PEFT has to know to build the adapters again.
 *
 * @param adapted   the layers by name
 * @param names     of all linear layers
 * @param baseModel the model that the adapters belong to
 */
export function adapterConfigOf(
  adapted: ReadonlyMap<string, LoraLinear>,
  names: readonly string[],
  { baseModel, transposed }: { baseModel: string | undefined; transposed: boolean },
): Readonly<Record<string, unknown>> {
  const layers = [...adapted.values()];
  const first = layers[0]!;
  const rank = mostFrequent(layers.map((layer) => layer.rank));
  const alpha = mostFrequent(layers.map((layer) => layer.alpha));
  const differing = (usual: number, of: (layer: LoraLinear) => number) =>
    Object.fromEntries(
      [...adapted]
        .filter(([, layer]) => of(layer) !== usual)
        .map(([name, layer]) => [name, of(layer)]),
    );
  return {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: baseModel ?? null,
    inference_mode: true,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: first.dropout.p,
    target_modules: targetModules([...adapted.keys()], names),
    rank_pattern: differing(rank, (layer) => layer.rank),
    alpha_pattern: differing(alpha, (layer) => layer.alpha),
    use_rslora: first.rankStabilized,
    fan_in_fan_out: transposed,
    bias: "none",
    modules_to_save: null,
    use_dora: false,
    init_lora_weights: true,
  };
}

/** Last parts of names, where those mean no other layer, as everybody writes them; else whole names. */
function targetModules(adapted: readonly string[], names: readonly string[]): string[] {
  const lastOf = (name: string) => name.slice(name.lastIndexOf(".") + 1);
  const ends = new Set(adapted.map(lastOf));
  const meant = names.filter((name) => ends.has(lastOf(name)));
  return meant.length === adapted.length ? [...ends] : [...adapted];
}

function mostFrequent(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].reduce((most, each) => (each[1] > most[1] ? each : most))[0];
}

/** @throws CheckpointError when layers differ in what PEFT has one value for */
export function requireUniform(adapted: ReadonlyMap<string, LoraLinear>): void {
  const kinds = new Set(
    [...adapted.values()].map(({ dropout, rankStabilized }) => `${dropout.p} ${rankStabilized}`),
  );
  if (kinds.size > 1)
    throw new CheckpointError(
      "saveAdapter: layers differ in dropout or rankStabilized; an adapter has one of each",
    );
}
