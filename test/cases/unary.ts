import {
  abs,
  cos,
  exp,
  gelu,
  geluExact,
  log,
  negate,
  reciprocal,
  relu,
  rsqrt,
  sigmoid,
  silu,
  sin,
  softplus,
  sqrt,
  square,
  tanh,
} from "../../src/ops/unary.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import { cases, hostTensor } from "./case.js";

interface Function {
  run(x: Tensor): Tensor;
  of(x: number): number;
  torch: string;
  /** Arguments from this range. Default: normal ones times 4. */
  range?: readonly [number, number];
  /** Has no backward op of its own. */
  composed?: boolean;
  bench?: boolean;
}

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));

/** 2/√π · exp(-x²) · Σ 2ⁿ x²ⁿ⁺¹ / (2n + 1)!!, whose terms have one sign. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return Math.abs(x) > 6 ? Math.sign(x) : (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const functions: Readonly<Record<string, Function>> = {
  negate: { run: negate, of: (x) => -x, torch: "-x", composed: true },
  abs: { run: abs, of: Math.abs, torch: "x.abs()" },
  square: { run: square, of: (x) => x * x, torch: "x.square()" },
  sqrt: { run: sqrt, of: Math.sqrt, torch: "x.sqrt()", range: [0.1, 9] },
  rsqrt: { run: rsqrt, of: (x) => 1 / Math.sqrt(x), torch: "x.rsqrt()", range: [0.1, 9] },
  reciprocal: { run: reciprocal, of: (x) => 1 / x, torch: "x.reciprocal()", range: [-9, -0.1] },
  exp: { run: exp, of: Math.exp, torch: "x.exp()", composed: true, bench: true },
  log: { run: log, of: Math.log, torch: "x.log()", range: [0.1, 9], composed: true, bench: true },
  sin: { run: sin, of: Math.sin, torch: "x.sin()" },
  cos: { run: cos, of: Math.cos, torch: "x.cos()" },
  // Where the result is close to 1, 1 - tanh² cancels.
  tanh: { run: tanh, of: Math.tanh, torch: "x.tanh()", range: [-2, 2], bench: true },
  sigmoid: { run: sigmoid, of: logistic, torch: "x.sigmoid()", range: [-4, 4], bench: true },
  relu: { run: relu, of: (x) => (x < 0 ? 0 : x), torch: "x.relu()", bench: true },
  silu: { run: silu, of: (x) => x * logistic(x), torch: "F.silu(x)", bench: true },
  gelu: {
    run: gelu,
    // 1 + tanh u = 2 / (1 + exp(-2u)), which does not cancel.
    of: (x) => x * logistic(2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)),
    torch: 'F.gelu(x, approximate="tanh")',
    bench: true,
  },
  gelu_exact: {
    run: geluExact,
    of: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
    torch: "F.gelu(x)",
    bench: true,
  },
  softplus: { run: softplus, of: (x) => Math.log1p(Math.exp(x)), torch: "F.softplus(x)" },
};

export default Object.entries(functions).map(
  ([op, { run, of, torch, range, composed = false, bench = false }]) =>
    cases(
      op,
      [
        { name: "a scalar", shape: [] },
        { name: "seven", shape: [7] },
        { name: "sixty-three", shape: [3, 21] },
        { name: "one hundred ninety-nine", shape: [199] },
        { name: "several tasks", shape: [41, 1009], gradcheck: false },
        { name: "no rows", shape: [0, 5] },
        { name: "activations", shape: [6400, 512], bench },
      ],
      {
        covers: composed ? [op] : [op, `${op}_backward`],
        inputs: (random, { shape }) => ({
          x: range ? random.uniform(shape, ...range) : random.normal(shape, 4),
        }),
        run: ({ x }) => run(x),
        reference: ({ x }) => hostTensor(x.shape, (i) => of(x.data[i]!)),
        work: ({ shape }) => ({ bytes: 8 * shape.reduce((a, b) => a * b, 1) }),
        torch: () => torch,
      },
    ),
);
