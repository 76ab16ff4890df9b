import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import { openSafetensors, type SafetensorsFile, tidy } from "../../tensor/index.js";
import { ConfigReader } from "./config-reader.js";
import { Decoder } from "./decoder.js";
import type { DecoderInit, DecoderOptions } from "./decoder-options.js";
import { llmFamilies } from "./families/index.js";
import type { LlmFamily } from "./family.js";
import { type StoredParameter, storedParameters } from "./stored-tensors.js";

export interface LoadDecoderOptions extends LongCall, Pick<DecoderInit, "precision" | "generator"> {
  /** What matrices and embeddings are kept in, whatever the checkpoint has. Default: `float32`. */
  readonly dtype?: "float32" | "bfloat16" | undefined;
}

/** A decoder with what its checkpoint said of it. It is the caller's to dispose. */
export interface LoadedDecoder {
  readonly decoder: Decoder;
  readonly family: LlmFamily;
  /** `config.json` as it was. */
  readonly config: Readonly<Record<string, unknown>>;
}

/**
 * Loads a decoder from a folder in Hugging Face's layout: `config.json` and safetensors, in one file or several.
 *
 * @param folder with `config.json`, and `model.safetensors` or `model.safetensors.index.json`
 * @returns      the decoder, in evaluation mode
 * @throws CheckpointError for an architecture or an option that is not supported, by name; for files that are missing
 * or damaged; for tensors that are missing, unexpected, or of another shape
 */
export async function loadDecoder(
  folder: string,
  { dtype = "float32", precision, generator, signal, onProgress }: LoadDecoderOptions = {},
): Promise<LoadedDecoder> {
  const config = await readConfig(folder);
  const family = familyOf(config);
  const options = family.options(config);
  await using file = await openSafetensors(folder);
  requirePlausible(options, file, config);
  const decoder = new Decoder(options, { std: 0, dtype, precision, generator });
  try {
    const parameters = storedParameters(decoder, family);
    const names = matchNames(parameters, file, family, {
      folder,
      tied: options.tied ?? false,
    });
    const sizes = parameters.map(({ name }) => file.info(names.get(name)!).bytes);
    const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
    let done = 0;
    for (const [i, { parameter, name, fromStored }] of parameters.entries()) {
      signal?.throwIfAborted();
      onProgress?.({ task: `loading ${folder}`, done, total, unit: "bytes" });
      const stored = await file.read(names.get(name)!, { dtype: parameter.value.dtype });
      const value = fromStored ? tidy(() => fromStored(stored)) : stored;
      if (value !== stored) stored.dispose();
      parameter.replace(value);
      done += sizes[i]!;
    }
    return { decoder: decoder.eval(), family, config: config.json };
  } catch (error) {
    decoder.dispose();
    throw error;
  }
}

/** @throws CheckpointError when there is no such file, or it is no JSON object */
async function readConfig(folder: string): Promise<ConfigReader> {
  const path = join(folder, "config.json");
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw new CheckpointError(`${path}: cannot be read (${cause.code})`, { cause });
  });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(`${path}: is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    throw new CheckpointError(`${path}: must hold an object`);
  return new ConfigReader(json as Record<string, unknown>, path);
}

/** The family that a configuration names. */
export function familyOf(config: ConfigReader): LlmFamily {
  const modelType = config.text("model_type");
  const family = llmFamilies.find((each) => each.modelType === modelType);
  const names = llmFamilies.map((each) => each.modelType).join(", ");
  if (!family) throw config.error("model_type", `is not supported; supported are ${names}`);
  const architectures = config.has("architectures") ? config.texts("architectures") : [];
  if (architectures.length > 0 && !architectures.includes(family.architecture))
    throw config.error("architectures", `must be ["${family.architecture}"] for ${modelType}`);
  return family;
}

/** A configuration may claim anything; what it claims is compared with the files before memory is taken for it. */
function requirePlausible(
  { vocabulary, width, layers, hiddenWidth, maxPositions, positions }: DecoderOptions,
  file: SafetensorsFile,
  config: ConfigReader,
): void {
  const learned = positions === "learned" ? maxPositions : 0;
  const least = width * (vocabulary + learned + layers * 2 * hiddenWidth);
  const stored = file.names.reduce((sum, name) => sum + elements(file.info(name).shape), 0);
  if (layers > file.names.length || least > 2 * stored)
    throw new CheckpointError(
      `${config.file}: describes a model of at least ${least} weights in ${layers} layers, but the checkpoint has ${stored} in ${file.names.length} tensors`,
    );
}

const elements = (shape: readonly number[]): number => shape.reduce((size, each) => size * each, 1);

/** The name of each parameter's tensor in the file: with the family's prefix, or without. */
function matchNames(
  parameters: readonly StoredParameter[],
  file: SafetensorsFile,
  { prefix, names: { head }, ignored = [] }: LlmFamily,
  { folder, tied }: { folder: string; tied: boolean },
): Map<string, string> {
  const names = new Map<string, string>();
  const missing: string[] = [];
  const headName = typeof head === "object" ? head.name : head;
  for (const { path, name, shape } of parameters) {
    const candidates = [name, name.startsWith(prefix) ? name.slice(prefix.length) : name];
    // What is tied is one tensor, and some checkpoints have it under the head's name.
    if (path === "embedding.weight" && tied) candidates.push(`${headName}.weight`);
    const found = candidates.find((each) => file.has(each));
    if (found === undefined) {
      missing.push(name);
      continue;
    }
    const stored = file.info(found);
    if (stored.shape.length !== shape.length || stored.shape.some((n, i) => n !== shape[i]))
      throw new CheckpointError(
        `${stored.file}: ${found} is [${stored.shape.join(", ")}], but config.json asks for [${shape.join(", ")}]`,
      );
    names.set(name, found);
  }
  const used = new Set(names.values());
  const unexpected = file.names.filter(
    (name) =>
      !used.has(name) &&
      !ignored.some((pattern) => pattern.test(name)) &&
      !(tied && name === `${headName}.weight`), // a copy
  );
  if (missing.length + unexpected.length > 0)
    throw new CheckpointError(
      `${folder}: the tensors are not those of config.json: ${[
        missing.length > 0 && `${listed(missing)} missing`,
        unexpected.length > 0 && `${listed(unexpected)} unexpected`,
      ]
        .filter(Boolean)
        .join("; ")}`,
    );
  return names;
}

const listed = (names: readonly string[]): string =>
  names.length <= 10
    ? names.join(", ")
    : `${names.slice(0, 10).join(", ")} and ${names.length - 10} more`;
