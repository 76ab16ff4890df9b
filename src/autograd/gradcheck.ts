import { UsageError } from "../errors.js";
import { add, matmul, reshape } from "../ops/index.js";
import { isFloat } from "../tensor/dtype.js";
import { tidy } from "../tensor/memory.js";
import { requireLive, type Tensor, tensor } from "../tensor/tensor.js";
import { grad } from "./value-and-grad.js";

export interface GradcheckOptions {
  /** Half the step of the central difference. Default: 1e-5. */
  eps?: number;
  /** Largest error, as a share of the largest gradient of the input. Default: 1e-6. */
  tolerance?: number;
  /** How many elements of each input are checked one by one; all together are in any case. Default: 40. */
  elements?: number;
}

/** One compared derivative. */
export interface GradcheckElement {
  /** Position of the input in the list. */
  readonly input: number;
  /** Position in the input, row-major; `undefined` for the derivative along a random direction of the input. */
  readonly element: number | undefined;
  /** What the gradient rules say. */
  readonly gradient: number;
  /** What the central difference says. */
  readonly difference: number;
  /** Their distance, as a share of the largest gradient of the input. */
  readonly error: number;
}

export interface GradcheckResult {
  readonly passed: boolean;
  /** The compared derivative with the largest error; `undefined` when the inputs are empty. */
  readonly worst: GradcheckElement | undefined;
}

/**
 * Compares the gradients of `body` with central differences.
 *
 *     Σ w · (body(x + eps) - body(x - eps)) / (2 eps)        for fixed random weights w of the outputs
 *
 * @param body   a function of the inputs, the same at every call; its floating-point outputs are differentiated
 * @param inputs float64 tensors; `body` is not called with these but with changed copies
 * @throws UsageError when an input is not float64
 */
export async function gradcheck(
  body: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  { eps = 1e-5, tolerance = 1e-6, elements = 40 }: GradcheckOptions = {},
): Promise<GradcheckResult> {
  inputs.forEach((input, i) => {
    requireLive("gradcheck", `inputs[${i}]`, input);
    if (input.dtype !== "float64")
      throw new UsageError(
        `gradcheck: inputs[${i}] is ${input.toString()}; differences need float64`,
      );
  });
  const values = await Promise.all(inputs.map((input) => input.dataAs("float64")));
  const random = uniforms();
  const weights: Float64Array[] = [];
  const gradients = await analyticGradients(body, inputs, (output, size) => {
    weights[output] ??= Float64Array.from({ length: size }, random);
    return weights[output];
  });

  /** The weighted outputs with input `at` moved by `step`, per unit of `step`'s scale. */
  const slope = async (at: number, direction: (i: number) => number): Promise<number> => {
    const sides = [1, -1].map((sign) => {
      const moved = values[at]!.map((value, i) => value + sign * eps * direction(i));
      return tidy(() => {
        const given = inputs.map((input, i) =>
          i === at ? tensor(moved, { shape: input.shape }) : input,
        );
        return floats(body(...given));
      });
    });
    const [above, below] = await Promise.all(
      sides.map((outputs) => Promise.all(outputs.map((output) => output.data()))),
    );
    for (const output of sides.flat()) if (!inputs.includes(output)) output.dispose();
    let total = 0;
    above!.forEach((data, output) =>
      data.forEach((value, i) => {
        total += weights[output]![i]! * (value - below![output]![i]!);
      }),
    );
    return total / (2 * eps);
  };

  let worst: GradcheckElement | undefined;
  const compare = (found: Omit<GradcheckElement, "error">, scale: number): void => {
    const error = Math.abs(found.gradient - found.difference) / scale;
    if (!worst || !(error <= worst.error)) worst = { ...found, error };
  };
  for (const [input, gradient] of gradients.entries()) {
    const largest = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const scale = Math.max(largest, 0.01);
    for (const element of sample(gradient.length, elements, random)) {
      const difference = await slope(input, (i) => (i === element ? 1 : 0));
      compare({ input, element, gradient: gradient[element]!, difference }, scale);
    }
    if (gradient.length === 0) continue;
    const direction = gradient.map(random);
    const along = gradient.map((value, i) => value * direction[i]!);
    const sum = along.reduce((total, value) => total + value, 0);
    const spread = Math.hypot(...along);
    const difference = await slope(input, (i) => direction[i]!);
    compare({ input, element: undefined, gradient: sum, difference }, Math.max(scale, spread));
  }
  return { passed: worst === undefined || worst.error <= tolerance, worst };
}

/** Gradients of the weighted outputs by every input; zeros where they do not depend on it. */
async function analyticGradients(
  body: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  weightsOf: (output: number, size: number) => Float64Array,
): Promise<Float64Array[]> {
  const computed = grad(inputs, () =>
    floats(body(...inputs))
      .map((output, i) => {
        const weights = tensor(weightsOf(i, output.size));
        return matmul(reshape(output, [1, output.size]), reshape(weights, [output.size, 1]));
      })
      .reduce((a, b) => add(a, b)),
  );
  const gradients = await Promise.all(
    inputs.map(
      async (input) =>
        (await computed.get(input)?.dataAs("float64")) ?? new Float64Array(input.size),
    ),
  );
  for (const gradient of computed.values()) gradient.dispose();
  return gradients;
}

const floats = (outputs: Tensor | readonly Tensor[]): Tensor[] =>
  [outputs].flat().filter(({ dtype }) => isFloat(dtype)) as Tensor[];

/** All positions below `length` when there are at most `count`, else `count` random ones. */
function sample(length: number, count: number, random: () => number): number[] {
  if (length <= count) return Array.from({ length }, (_, i) => i);
  return Array.from({ length: count }, () => Math.floor(((random() + 1) / 2) * length));
}

/** A fixed sequence, uniform in [-1, 1): mulberry32. */
function uniforms(): () => number {
  let state = 1;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x80000000 - 1;
  };
}
