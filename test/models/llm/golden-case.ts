/** What transformers makes of tiny checkpoints: test/golden/llm, written by scripts/goldens-llm.py. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  ConfigReader,
  type Decoder,
  type DecoderOptions,
  familyOf,
} from "../../../src/models/index.js";
import { noGrad } from "../../../src/ops/index.js";
import { type Tensor, tensor, tidy } from "../../../src/tensor/index.js";

export interface GoldenCase {
  readonly sequences: readonly (readonly number[])[];
  /** Of all tokens, one sequence after the other. */
  readonly logits: readonly number[];
  readonly targets: readonly number[];
  readonly loss: number;
  /** What the last sequence is continued with. */
  readonly greedy: readonly number[];
  readonly beam: readonly number[];
}

const root = fileURLToPath(new URL("../../golden/llm", import.meta.url));

export const goldenCases = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== "real")
  .map(({ name }) => name);

export const goldenNames = (folder: string): string[] => readdirSync(join(root, folder));

export const goldenFolder = (name: string): string => join(root, name);

export const readGolden = <T = GoldenCase>(name: string): T =>
  JSON.parse(readFileSync(join(root, name), "utf8")) as T;

export const goldenConfig = (name: string): Record<string, unknown> =>
  readGolden(join(name, "config.json"));

/** The logits of ragged sequences, as numbers. */
export async function logitsOf(
  decoder: Decoder,
  sequences: readonly (readonly number[])[],
): Promise<Float32Array> {
  const counts = sequences.map(({ length }) => length);
  const ids = Int32Array.from(sequences.flat());
  return await take(tidy(() => noGrad(() => decoder.forward(tensor(ids), { counts }))));
}

/** A tensor's numbers; it is disposed. */
export async function take(x: Tensor): Promise<Float32Array> {
  using owned = x;
  return Float32Array.from(await owned.data());
}

/** The largest difference, relative to the largest of `expected`. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let most = 0;
  let largest = 0;
  for (let i = 0; i < Math.max(actual.length, expected.length); i++) {
    const error = Math.abs(actual[i]! - expected[i]!);
    if (!(error <= most)) most = error;
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return most / largest;
}

/** The decoder of a golden configuration, as options. */
export function goldenOptions(name: string): DecoderOptions {
  const config = new ConfigReader(goldenConfig(name));
  return familyOf(config).options(config);
}

/** The likeliest token again and again, each step with the cache. */
export async function greedy(
  decoder: Decoder,
  ids: readonly number[],
  steps: number,
): Promise<number[]> {
  using cache = decoder.newCache({ batch: 1, capacity: 4 });
  const added: number[] = [];
  let next = [...ids];
  for (let step = 0; step < steps; step++) {
    const logits = await take(
      tidy(() =>
        noGrad(() =>
          decoder.forward(tensor(Int32Array.from(next)), { counts: [next.length], cache }),
        ),
      ),
    );
    const last = logits.slice(-decoder.options.vocabulary);
    next = [last.indexOf(Math.max(...last))];
    added.push(...next);
  }
  return added;
}
