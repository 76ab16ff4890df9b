import { UsageError } from "../errors.js";
import { type DType, dtypeCode } from "../tensor/dtype.js";
import { keep } from "../tensor/memory.js";
import { requireLive, type Shape, type Tensor, tensor } from "../tensor/tensor.js";
import { defineOp } from "./define-op.js";
import { reshape } from "./reshape.js";

const constant = { none: "random numbers are constants" };
const uniformOp = defineOp({
  name: "random_uniform",
  inputs: ["state"],
  attributes: ["dtype", "call", "shape*", "low", "high"],
  outputs: ["result"],
  gradient: constant,
});
const normalOp = defineOp({
  name: "random_normal",
  inputs: ["state"],
  attributes: ["dtype", "call", "shape*", "mean", "std"],
  outputs: ["result"],
  gradient: constant,
});
const truncatedNormalOp = defineOp({
  name: "random_truncated_normal",
  inputs: ["state"],
  attributes: ["dtype", "call", "shape*", "mean", "std", "low", "high"],
  outputs: ["result"],
  gradient: constant,
});
const integersOp = defineOp({
  name: "random_integers",
  inputs: ["state"],
  attributes: ["dtype", "call", "shape*", "low", "high"],
  outputs: ["result"],
  gradient: constant,
});

type DropoutOp = (
  inputs: { x: Tensor; state: Tensor },
  attributes: { p: number; call: number },
) => [Tensor];
const dropoutOp: DropoutOp = defineOp({
  name: "dropout",
  inputs: ["x", "state"],
  attributes: ["p", "call"],
  outputs: ["result"],
  gradient: {
    saves: ["state"],
    // The same call again makes the same mask.
    rule({ saved: { state }, attributes, grad }) {
      const [x] = dropoutOp({ x: grad, state }, attributes);
      return { x };
    },
  },
});

/** Where a generator is in its sequence; JSON keeps it exactly. */
export interface GeneratorState {
  readonly seed: number;
  readonly step: number;
  readonly call: number;
}

const words = (value: number): [number, number] => [value | 0, Math.floor(value / 2 ** 32) | 0];

function requireCount(name: string, value: number): void {
  if (!(Number.isSafeInteger(value) && value >= 0))
    throw new UsageError(
      `Generator: ${name} must be a whole number from 0 to 2^53 - 1, got ${value}`,
    );
}

/**
 * A sequence of random numbers: Philox-4x32-10, counter-based. Each call of a random function takes the next call
 * number, and element `i` of its result is a function of seed, step, call number and `i` alone: neither threads nor the
 * device change it.
 *
 * @see Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011
 */
export class Generator {
  #seed = 0;
  #step = 0;
  #call = 0;
  #tensor: Tensor | undefined; // made at the first call

  /** @param seed a whole number from 0 to 2^53 - 1 */
  constructor(seed = 0) {
    requireCount("seed", seed);
    this.#seed = seed;
  }

  /** Seed, step and number of the next call, to be restored later. */
  state(): GeneratorState {
    return { seed: this.#seed, step: this.#step, call: this.#call };
  }

  /** Goes on from `state`: the same calls give the same numbers as they did from there. */
  restore({ seed, step, call }: GeneratorState): void {
    for (const [name, value] of Object.entries({ seed, step, call })) requireCount(name, value);
    const changed = seed !== this.#seed || step !== this.#step;
    this.#seed = seed;
    this.#step = step;
    this.#call = call;
    // The tensor before stays: a tape may need it to repeat a dropout.
    if (changed) this.#tensor = undefined;
  }

  /** A generator whose sequence has nothing to do with this one's; takes a call number. */
  fork(): Generator {
    return new Generator(mix(BigInt(this.#seed), BigInt(this.#take())));
  }

  /** @internal The state on the device (seed and step, low words first), and the number of this call. */
  next(): { state: Tensor; call: number } {
    const call = this.#take();
    this.#tensor ??= keep(tensor(Int32Array.of(...words(this.#seed), ...words(this.#step))));
    return { state: this.#tensor, call };
  }

  #take(): number {
    if (observed && !observed.has(this)) observed.set(this, this.state());
    return this.#call++;
  }

  /** Frees the few bytes on the device; garbage collection does it, too. */
  dispose(): void {
    this.#tensor?.dispose();
    this.#tensor = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The generators used since `recordRandomness` began, each with its state before. */
let observed: Map<Generator, GeneratorState> | undefined;

/** Runs `body`; `replay` runs another with the same random numbers, and then goes on where the generators were. */
export function recordRandomness<T>(body: () => T): {
  result: T;
  replay: <R>(body: () => R) => R;
} {
  const outer = observed;
  const used = new Map<Generator, GeneratorState>();
  observed = used;
  let result: T;
  try {
    result = body();
  } finally {
    observed = outer;
    if (outer)
      for (const [generator, state] of used) if (!outer.has(generator)) outer.set(generator, state);
  }
  const replay = <R>(again: () => R): R => {
    const now = [...used.keys()].map((generator) => [generator, generator.state()] as const);
    for (const [generator, state] of used) generator.restore(state);
    try {
      return again();
    } finally {
      for (const [generator, state] of now) generator.restore(state);
    }
  };
  return { result, replay };
}

/** A seed from a seed and a number: the finaliser of SplitMix64, of which 53 bits. */
function mix(seed: bigint, number: bigint): number {
  const word = (value: bigint) => BigInt.asUintN(64, value);
  let z = word(seed * 0x9e3779b97f4a7c15n + (number + 1n) * 0xbf58476d1ce4e5b9n);
  z = word((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = word((z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return Number((z ^ (z >> 31n)) >> 11n);
}

/** The generator of calls that name none. */
export const defaultGenerator = new Generator();

/** Starts the default generator anew. */
export const seed = (value: number): void =>
  defaultGenerator.restore({ seed: value, step: 0, call: 0 });

export interface RandomOptions {
  /** Default: the process's, which `seed()` sets. */
  generator?: Generator | undefined;
}

export interface RandomFloatOptions extends RandomOptions {
  /** Default: `float32`. */
  dtype?: Extract<DType, "float32" | "float64"> | undefined;
}

export interface RandOptions extends RandomFloatOptions {
  /** Default: 0. */
  low?: number | undefined;
  /** Default: 1. */
  high?: number | undefined;
}

/** Uniform in [low, high): 24 random bits in float32, 53 in float64. */
export function rand(
  shape: Shape,
  { generator = defaultGenerator, dtype = "float32", low = 0, high = 1 }: RandOptions = {},
): Tensor {
  const { state, call } = generator.next();
  const [result] = uniformOp({ state }, { dtype: dtypeCode(dtype), call, shape, low, high });
  return result;
}

export interface RandnOptions extends RandomFloatOptions {
  /** Default: 0. */
  mean?: number | undefined;
  /** Standard deviation. Default: 1. */
  std?: number | undefined;
}

/** Normal numbers, at most 6.7 standard deviations from the mean. float64 and float32 differ by rounding alone. */
export function randn(
  shape: Shape,
  { generator = defaultGenerator, dtype = "float32", mean = 0, std = 1 }: RandnOptions = {},
): Tensor {
  const { state, call } = generator.next();
  const [result] = normalOp({ state }, { dtype: dtypeCode(dtype), call, shape, mean, std });
  return result;
}

export interface TruncatedNormalOptions extends RandnOptions {
  /** Default: two standard deviations below the mean. */
  low?: number | undefined;
  /** Default: two standard deviations above the mean. */
  high?: number | undefined;
}

/** Normal numbers on condition that they lie within [low, high]. */
export function truncatedNormal(shape: Shape, options: TruncatedNormalOptions = {}): Tensor {
  const { generator = defaultGenerator, dtype = "float32", mean = 0, std = 1 } = options;
  const { low = mean - 2 * std, high = mean + 2 * std } = options;
  const { state, call } = generator.next();
  const [result] = truncatedNormalOp(
    { state },
    { dtype: dtypeCode(dtype), call, shape, mean, std, low, high },
  );
  return result;
}

/** Whole numbers in [low, high), int32. */
export function randint(
  low: number,
  high: number,
  shape: Shape,
  { generator = defaultGenerator }: RandomOptions = {},
): Tensor {
  const { state, call } = generator.next();
  const [result] = integersOp({ state }, { dtype: dtypeCode("int32"), call, shape, low, high });
  return result;
}

export interface DropoutOptions extends RandomOptions {
  /** Whether to drop at all. Default: true. */
  training?: boolean | undefined;
}

/**
 * Zeroes each element with probability `p` and scales the others.
 *
 *     x / (1 - p) where kept, else 0
 *
 * No mask is stored: the gradient computes it again. Without training, or for `p = 0`, the result is a view of `x`.
 *
 * @param x float32 or float64
 * @param p in [0, 1)
 * @see Srivastava et al., "Dropout", JMLR 15, 2014
 */
export function dropout(
  x: Tensor,
  p: number,
  { generator = defaultGenerator, training = true }: DropoutOptions = {},
): Tensor {
  requireLive("dropout", "x", x);
  if (!(p >= 0 && p < 1)) throw new UsageError(`dropout: p must be in [0, 1), got ${p}`);
  if (!training || p === 0) return reshape(x, x.shape);
  const { state, call } = generator.next();
  const [result] = dropoutOp({ x, state }, { p, call });
  return result;
}
