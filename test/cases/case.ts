/**
 * The evidence of an op is its case list: one file in this folder, `export default cases(...)`. The same list drives
 * the comparison with a float64 reference, the gradient check, the PyTorch golden, the leak check and the benchmark
 * (test/ops/all.test.ts, bench/ops.ts).
 */
import type { DType } from "../../src/tensor/dtype.js";
import type { Shape, Tensor } from "../../src/tensor/tensor.js";

/** A tensor on the host. Floating-point values are float64 here and run as float32 and as float64. */
export interface HostTensor {
  readonly shape: Shape;
  readonly data: Float64Array;
  /** `float`: the dtype under test. `bfloat16` stays it, such as frozen weights; its values are rounded already. */
  readonly dtype: "float" | Extract<DType, "bfloat16" | "int32" | "uint8">;
}

/** Deterministic inputs. */
export interface Random {
  /** Standard normal values, times `scale`. */
  normal(shape: Shape, scale?: number): HostTensor;
  /** Uniform in [low, high). */
  uniform(shape: Shape, low: number, high: number): HostTensor;
  /** Whole numbers in [0, limit), int32. */
  integers(shape: Shape, limit: number): HostTensor;
  /** 1 with the given probability, else 0; uint8. */
  mask(shape: Shape, probability?: number): HostTensor;
  /** Given values; `float` and `bfloat16` ones are rounded. */
  values(shape: Shape, data: ArrayLike<number>, dtype?: HostTensor["dtype"]): HostTensor;
}

export type HostTensors = Readonly<Record<string, HostTensor>>;
export type Tensors<I> = { readonly [K in keyof I]: Tensor };

export interface CaseOptions {
  /** Names the shape, and the golden file. */
  readonly name: string;
  /** Default: true where the inputs are small (at most 2,000 elements). */
  readonly gradcheck?: boolean;
  /** Whether the benchmark runs it. */
  readonly bench?: boolean;
}

/** Arithmetic and traffic of one forward run, for the benchmark. */
export interface CaseWork {
  flops?: number;
  /** What the arithmetic is in, and hence compared with. Default: float32. */
  arithmetic?: "float32" | "bfloat16";
  bytes?: number;
}

/** One way of doing the work of a case in PyTorch; bench/peers/ops.py runs it. */
export interface TorchPath {
  /** Names it in the results, such as `flash` or `compiled`. */
  readonly name: string;
  /** Over tensors named as the inputs; bench/peers/work.py says what else there is. */
  readonly expression: string;
  /**
   * A dict that replaces the inputs, made before the clock starts: other layouts, a model and its step. Its new
   * floating-point tensors have gradients where inputs do.
   */
  readonly setup?: string;
  /** Through `torch.compile`; left out where it does not compile within its time limit. */
  readonly compiled?: boolean;
  /** `bfloat16`: floating-point inputs are bfloat16. `autocast`: PyTorch casts where it sees fit. Default: as given. */
  readonly precision?: "bfloat16" | "autocast";
}

export interface CaseSpec<S extends CaseOptions, I extends HostTensors> {
  /** The native ops that these cases exercise, backward ops included. */
  readonly covers: readonly string[];
  inputs(random: Random, options: S): I;
  /** Runs the op under test through its public function. */
  run(inputs: Tensors<I>, options: S): Tensor | readonly Tensor[];
  /** The same in plain float64 loops, as one would write it from the definition. */
  reference(inputs: I, options: S): HostTensor | readonly HostTensor[];
  /** Inputs that the gradient is checked for. Default: every `float` input. */
  readonly differentiable?: readonly (keyof I & string)[];
  /** Outputs (by position) that are differentiable. Default: all floating-point ones. */
  readonly differentiableOutputs?: readonly number[];
  /**
   * How many terms the longest sum behind one element has: float32 error grows with its square root. Default: 1.
   * It sets the tolerance: (4 + 2 √terms) · 2⁻²³ · max |reference|.
   */
  terms?(options: S): number;
  /**
   * How large the terms are that cancel each other in a gradient, where they exceed the gradients themselves: the
   * scale of its tolerance.
   */
  gradientScale?(options: S): number;
  /** What products round the operands of gradients to when float32 is under test: the spacing of the tolerance. */
  readonly rounding?: "bfloat16";
  work?(options: S): CaseWork;
  /**
   * The same work in PyTorch for the benchmark, for `bench` cases: an expression over tensors named as the inputs, or
   * several ways, of which the fastest counts.
   */
  torch?(options: S): string | readonly (string | TorchPath)[];
  /** Differentiable inputs that the benchmark takes as constants on both sides, such as frozen weights. */
  readonly frozen?: readonly (keyof I & string)[];
}

export interface CaseList {
  /** Also the folder of the goldens: test/golden/<op>/<case>.safetensors. */
  readonly op: string;
  readonly shapes: readonly CaseOptions[];
  readonly spec: CaseSpec<CaseOptions, HostTensors>;
}

export function cases<const S extends CaseOptions, I extends HostTensors>(
  op: string,
  shapes: readonly S[],
  spec: CaseSpec<S, I>,
): CaseList {
  return { op, shapes, spec: spec as unknown as CaseSpec<CaseOptions, HostTensors> };
}

/** A host tensor computed element by element. */
export function hostTensor(shape: Shape, element: (index: number) => number): HostTensor {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  return { shape, data: Float64Array.from({ length: size }, (_, i) => element(i)), dtype: "float" };
}
