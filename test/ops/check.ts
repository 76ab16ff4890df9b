/** Runs the cases of test/cases forward and backward, and compares. */
import { grad } from "../../src/autograd/value-and-grad.js";
import { add, matmul, ones, reshape, zeros } from "../../src/ops/index.js";
import { type DType, fromBFloat16, isFloat } from "../../src/tensor/dtype.js";
import { tidy } from "../../src/tensor/memory.js";
import { type Shape, sizeOf, type Tensor, tensor } from "../../src/tensor/tensor.js";
import type { CaseList, CaseOptions, HostTensor, HostTensors } from "../cases/case.js";
import { differentiableInputs, disposeAll, type Precision, upload } from "../cases/inputs.js";
import { hostRandom } from "../cases/random-host.js";

/** A tensor read back. */
export interface Computed {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** Distance between 1 and the next number. */
const spacing: Partial<Record<DType, number>> = {
  float32: 2 ** -23,
  float64: 2 ** -52,
  bfloat16: 2 ** -7,
};

export async function download(value: Tensor): Promise<Computed> {
  const raw = await value.data();
  const data = Float64Array.from(raw instanceof Uint16Array ? fromBFloat16(raw) : raw);
  return { dtype: value.dtype, shape: value.shape, data };
}

const asArray = <T extends object>(value: T | readonly T[]): readonly T[] =>
  Array.isArray(value) ? (value as readonly T[]) : [value as T];

/** Runs the case forward. */
export async function forward(
  { spec }: CaseList,
  options: CaseOptions,
  inputs: HostTensors,
  precision: Precision,
): Promise<Computed[]> {
  const given = upload(inputs, precision);
  const outputs = tidy(() => asArray(spec.run(given, options)));
  const computed = await Promise.all(outputs.map(download));
  disposeAll(outputs);
  disposeAll(Object.values(given));
  return computed;
}

/** The outputs that the gradient is taken of, by position. */
export const differentiableOutputs = (
  { spec }: CaseList,
  outputs: readonly { dtype: DType }[],
): readonly number[] =>
  spec.differentiableOutputs ?? outputs.flatMap(({ dtype }, i) => (isFloat(dtype) ? [i] : []));

/** A fixed random upstream gradient for each differentiable output. */
export function cotangentsOf(
  list: CaseList,
  options: CaseOptions,
  outputs: readonly Computed[],
): Map<number, HostTensor> {
  const random = hostRandom(`${list.op} · ${options.name} · cotangents`);
  return new Map(
    differentiableOutputs(list, outputs).map((i) => [i, random.normal(outputs[i]!.shape)]),
  );
}

/** Gradients of Σ outputs · cotangents by input name; zeros where the outputs do not depend on an input. */
export async function gradients(
  list: CaseList,
  options: CaseOptions,
  inputs: HostTensors,
  cotangents: ReadonlyMap<number, HostTensor>,
  precision: Precision,
): Promise<Record<string, Computed>> {
  const given = upload(inputs, precision);
  const names = differentiableInputs(list, inputs);
  const result: Record<string, Computed> = {};
  const computed = grad(
    names.map((name) => given[name]!),
    () => weightedSum(asArray(list.spec.run(given, options)), cotangents),
  );
  for (const name of names) {
    const gradient = computed.get(given[name]!);
    result[name] = gradient
      ? await download(gradient)
      : {
          dtype: precision,
          shape: inputs[name]!.shape,
          data: new Float64Array(sizeOf(inputs[name]!.shape)),
        };
  }
  disposeAll(computed.values());
  disposeAll(Object.values(given));
  return result;
}

function weightedSum(
  outputs: readonly Tensor[],
  cotangents: ReadonlyMap<number, HostTensor>,
): Tensor {
  return [...cotangents]
    .map(([i, { data }]) => {
      const weights = tensor(data, { shape: [data.length, 1], dtype: outputs[i]!.dtype });
      return matmul(reshape(outputs[i]!, [1, data.length]), weights);
    })
    .reduce((a, b) => add(a, b));
}

/** The sum of all elements of tensors of one dtype. */
export function total(tensors: readonly Tensor[]): Tensor {
  return tensors
    .map((x) => matmul(reshape(x, [1, x.size]), ones([x.size, 1], { dtype: x.dtype })))
    .reduce(add, zeros([1, 1], tensors[0] && { dtype: tensors[0].dtype }));
}

/** The largest finite magnitude. */
export function magnitude(data: Float64Array): number {
  let largest = 0;
  for (const value of data)
    if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  return largest;
}

/** The error that `terms` additions may leave in numbers as large as `scale`; see `CaseSpec.terms`. */
export const toleranceOf = (dtype: DType, terms: number, scale: number): number =>
  (4 + 2 * Math.sqrt(terms)) * (spacing[dtype] ?? 0) * scale;

/**
 * What is wrong with `actual`: nothing, or one line that names the worst element. Shapes and the positions of NaN and
 * infinities must be equal, numbers within `tolerance`.
 */
export function difference(
  label: string,
  actual: Computed,
  expected: Pick<HostTensor, "shape" | "data">,
  tolerance: number,
): string[] {
  if (actual.shape.join() !== expected.shape.join())
    return [`${label}: shape [${actual.shape}], expected [${expected.shape}]`];
  let worst = -1;
  let worstError = tolerance;
  for (let i = 0; i < expected.data.length; i++) {
    const [a, e] = [actual.data[i]!, expected.data[i]!];
    if (Object.is(a, e) || a === e) continue;
    const error = Math.abs(a - e);
    const comparable = Number.isFinite(a) && Number.isFinite(e);
    if (!comparable || error > worstError) {
      worst = i;
      worstError = error;
      if (!comparable) break;
    }
  }
  if (worst < 0) return [];
  const [a, e] = [actual.data[worst], expected.data[worst]];
  return [
    `${label}: element ${worst} of [${actual.shape}] is ${a}, expected ${e} (tolerance ${tolerance.toExponential(1)})`,
  ];
}

/** Forward against the case's reference. */
export function forwardProblems(
  list: CaseList,
  options: CaseOptions,
  inputs: HostTensors,
  outputs: readonly Computed[],
): string[] {
  const expected = asArray(list.spec.reference(inputs, options));
  if (outputs.length !== expected.length)
    return [`${outputs.length} outputs, expected ${expected.length}`];
  const terms = list.spec.terms?.(options) ?? 1;
  return outputs.flatMap((output, i) => {
    const label = `output ${i} (${output.dtype})`;
    const wanted = expected[i]!;
    if ((wanted.dtype === "float") !== isFloat(output.dtype))
      return [`${label}: expected ${wanted.dtype}`];
    return difference(
      label,
      output,
      wanted,
      toleranceOf(output.dtype, terms, magnitude(wanted.data)),
    );
  });
}

/**
 * Gradients in float32 against those in float64. An element of a gradient sums over what its input is broadcast to,
 * hence more terms than forward.
 */
export function gradientProblems(
  list: CaseList,
  options: CaseOptions,
  cotangents: ReadonlyMap<number, HostTensor>,
  actual: Readonly<Record<string, Computed>>,
  expected: Readonly<Record<string, Pick<HostTensor, "shape" | "data">>>,
): string[] {
  const outputs = [...cotangents.values()].reduce((total, { data }) => total + data.length, 0);
  const upstream = Math.max(0, ...[...cotangents.values()].map(({ data }) => magnitude(data)));
  return Object.entries(actual).flatMap(([name, gradient]) => {
    const wanted = expected[name]!;
    const terms =
      (list.spec.terms?.(options) ?? 1) * Math.max(1, outputs / (wanted.data.length || 1));
    const scale = Math.max(
      magnitude(wanted.data),
      0.02 * upstream,
      list.spec.gradientScale?.(options) ?? 0,
    );
    const rounded = gradient.dtype === "float32" ? list.spec.rounding : undefined;
    return difference(
      `gradient of ${name} (${gradient.dtype})`,
      gradient,
      wanted,
      2 * toleranceOf(rounded ?? gradient.dtype, terms, scale),
    );
  });
}
