import { UsageError } from "../../../errors.js";
import type { LlmFamily } from "../family.js";

/**
 * Which linear layers get adapters, by their names in the family's checkpoints:
 *
 * - a list: names, or ends of names (`q_proj`, `mlp.down_proj`)
 * - `all-linear`: all but the head
 * - any other text: a regular expression that matches whole names
 */
export type LoraTargets = readonly string[] | "all-linear" | (string & {});

const attention = ["q_proj", "v_proj"];

/** As PEFT's `TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING` has them, by `model_type`. */
const defaults: Readonly<Record<string, readonly string[]>> = {
  gemma: attention,
  gemma2: attention,
  gemma3_text: attention,
  gpt2: ["c_attn"],
  gpt_neo: attention,
  gpt_neox: ["query_key_value"],
  llama: attention,
  mistral: attention,
  qwen2: attention,
  qwen3: attention,
};

/** What gets adapters where nothing else is said. */
export function defaultTargets({ name, modelType }: LlmFamily): readonly string[] {
  const targets = defaults[modelType];
  if (!targets)
    throw new UsageError(`addLora: ${name} has no usual targets; say which, or "all-linear"`);
  return targets;
}

/**
 * The names that targets mean.
 *
 * @param names of all linear layers
 * @throws UsageError for a target that means none of them, with what there is
 */
export function targetedNames(names: readonly string[], targets: LoraTargets): Set<string> {
  if (targets === "all-linear") return new Set(names);
  const patterns = typeof targets === "string" ? [wholeName(targets)] : targets.map(endOfName);
  if (patterns.length === 0) throw new UsageError("addLora: targets are empty");
  return new Set(patterns.flatMap((pattern) => matching(names, pattern)));
}

/** The value of the first pattern whose key is a name, or the end of one. */
export function valueFor(
  patterns: Readonly<Record<string, number>>,
  name: string,
  otherwise: number,
): number {
  const found = Object.entries(patterns).find(([key]) => endOfName(key).matches(name));
  return found?.[1] ?? otherwise;
}

/** @throws UsageError for a key that is no end of any name */
export function requireKnown(
  option: string,
  patterns: Readonly<Record<string, number>>,
  names: readonly string[],
): void {
  for (const key of Object.keys(patterns)) matching(names, endOfName(key), option);
}

interface Pattern {
  readonly text: string;
  matches(name: string): boolean;
}

function matching(
  names: readonly string[],
  { text, matches }: Pattern,
  option = "targets",
): string[] {
  const found = names.filter(matches);
  if (found.length > 0) return found;
  throw new UsageError(`addLora: ${option}: ${text} is none of ${endingsOf(names)}`);
}

const endOfName = (end: string): Pattern => ({
  text: `"${end}"`,
  matches: (name) => name === end || name.endsWith(`.${end}`),
});

function wholeName(text: string): Pattern {
  try {
    const pattern = new RegExp(`^(?:${text})$`, "u");
    return { text: `/${text}/`, matches: (name) => pattern.test(name) };
  } catch (cause) {
    throw new UsageError(`addLora: targets: ${(cause as Error).message}`, { cause });
  }
}

/** `q_proj, k_proj, ... (model.layers.0.self_attn.q_proj, ...)` */
function endingsOf(names: readonly string[]): string {
  const ends = new Set(names.map((name) => name.slice(name.lastIndexOf(".") + 1)));
  return `${[...ends].join(", ")} (in full: ${names[0]}, ...)`;
}
