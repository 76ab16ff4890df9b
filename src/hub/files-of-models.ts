/** Which files of a model are needed: what describes it, its tokenizer, and weights as safetensors. Pickles never are. */
import { CheckpointError } from "../errors.js";

export const configName = "config.json";
export const weightsName = "model.safetensors";
export const indexName = "model.safetensors.index.json";

/** Taken where they are there. */
export const smallFiles = [
  configName,
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
  "chat_template.json",
] as const;

/**
 * What the weights are in: one file, or several behind an index.
 *
 * @param names of all files
 * @throws CheckpointError when there are no safetensors
 */
export function weightsEntry(model: string, names: ReadonlySet<string>): string {
  if (!names.has(configName))
    throw new CheckpointError(`${model}: has no ${configName}: it is not a model of transformers`);
  if (names.has(weightsName)) return weightsName;
  if (names.has(indexName)) return indexName;
  const pickle = [...names].find((name) => /\.(bin|pt|pth|ckpt)$/.test(name));
  const instead =
    pickle === undefined ? "" : `, only ${pickle}, a pickle, which can run code and is never read`;
  throw new CheckpointError(
    `${model}: has no weights as safetensors (${weightsName} or ${indexName})${instead}`,
  );
}
