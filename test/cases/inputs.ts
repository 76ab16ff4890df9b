/** The case lists of this folder, and their inputs on the device: what tests and benchmarks share. */
import { readdir } from "node:fs/promises";
import { type Tensor, tensor } from "../../src/tensor/tensor.js";
import type { CaseList, CaseOptions, HostTensors, Tensors } from "./case.js";
import { hostRandom, TooLarge } from "./random-host.js";

/** Files of this folder that are no case lists. */
const support = ["case.ts", "inputs.ts", "random-host.ts", "shadows.ts"];

/** The dtypes that cases run in. */
export type Precision = "float32" | "float64";

/** Every case list of test/cases, sorted by op. */
export async function loadCases(): Promise<CaseList[]> {
  const folder = new URL("./", import.meta.url);
  const files = (await readdir(folder)).filter(
    (file) => file.endsWith(".ts") && !support.includes(file),
  );
  const lists = await Promise.all(
    files.map(async (file) => {
      const module = (await import(new URL(file, folder).href)) as {
        default: CaseList | readonly CaseList[];
      };
      return module.default;
    }),
  );
  return lists.flat().sort((a, b) => a.op.localeCompare(b.op));
}

/**
 * The inputs of a case; `undefined` when they have more than `limit` elements, or when the reference's plain loops
 * would take too long.
 */
export function inputsOf(
  { op, spec }: CaseList,
  options: CaseOptions,
  limit = Infinity,
): HostTensors | undefined {
  const { flops = 0, bytes = 0 } = spec.work?.(options) ?? {};
  if (limit < Infinity && (flops > 3e7 || bytes > 100 * limit)) return undefined;
  try {
    const inputs = spec.inputs(hostRandom(`${op} · ${options.name}`, limit), options);
    for (const { dtype, data } of Object.values(inputs))
      if (dtype === "float") data.set(Float32Array.from(data));
    // What is made from nothing may be large all the same.
    if (limit < Infinity && options.bench && elementsOf(inputs) === 0) return undefined;
    return inputs;
  } catch (error) {
    if (error instanceof TooLarge) return undefined;
    throw error;
  }
}

export const elementsOf = (inputs: HostTensors): number =>
  Object.values(inputs).reduce((total, { data }) => total + data.length, 0);

/** The inputs on the device; the caller disposes them. */
export function upload<I extends HostTensors>(inputs: I, precision: Precision): Tensors<I> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, data, dtype }]) => [
      name,
      tensor(data, { shape, dtype: dtype === "float" ? precision : dtype }),
    ]),
  ) as Tensors<I>;
}

export function disposeAll(tensors: Iterable<Tensor>): void {
  for (const tensor of tensors) tensor.dispose();
}

/** The inputs that have a gradient, by name. */
export const differentiableInputs = ({ spec }: CaseList, inputs: HostTensors): string[] =>
  spec.differentiable?.slice() ??
  Object.keys(inputs).filter((name) => inputs[name]!.dtype === "float");
