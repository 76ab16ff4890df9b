import { dropout, Generator, rand, randint, randn, truncatedNormal } from "../../src/ops/random.js";
import { type CaseList, cases, type HostTensor, hostTensor } from "./case.js";

/** Philox-4x32-10 as in the paper, on 32-bit words. */
export function philox(counter: readonly number[], key: readonly number[]): number[] {
  let [c0, c1, c2, c3] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key.map(BigInt) as [bigint, bigint];
  const low = (value: bigint) => value & 0xffffffffn;
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2511f53n * c0;
    const p1 = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(p1 >> 32n) ^ c1 ^ k0, low(p1), (p0 >> 32n) ^ c3 ^ k1, low(p0)];
    k0 = low(k0 + 0x9e3779b9n);
    k1 = low(k1 + 0xbb67ae85n);
  }
  return [c0, c1, c2, c3].map(Number);
}

const halves = (value: number): [number, number] => [value >>> 0, Math.floor(value / 2 ** 32)];

/** The first `count` random words of a call. */
export function words(count: number, call: number, seed: number, step = 0): number[] {
  const key =
    step === 0
      ? halves(seed)
      : philox([...halves(step), 2 ** 32 - 1, 2 ** 32 - 1], halves(seed)).slice(0, 2);
  return Array.from({ length: Math.ceil(count / 4) }, (_, block) =>
    philox([...halves(block), ...halves(call)], key),
  )
    .flat()
    .slice(0, count);
}

const seed = 0x1234_5678_9abc;
const generator = new Generator(seed);

/** The generator, about to make call `call`. */
function at(call: number): Generator {
  generator.restore({ seed, step: 0, call });
  return generator;
}

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

const shapes = [
  { name: "one", shape: [1] },
  { name: "seven", shape: [7] },
  { name: "odd", shape: [3, 199] },
  { name: "several tasks", shape: [5, 1001], gradcheck: false },
  { name: "empty", shape: [0, 4] },
];

/** A list of a function that makes random tensors: element i as a function of the words. */
function generated(
  op: string,
  bench: readonly { name: string; shape: number[]; bench: true }[],
  run: (shape: number[], generator: Generator) => ReturnType<typeof rand>,
  element: (word: readonly number[], i: number) => number,
  torch: (shape: number[]) => string,
  dtype: HostTensor["dtype"] = "float",
): CaseList {
  return cases(op, [...shapes, ...bench], {
    covers: [op],
    inputs: () => ({}),
    run: (_, { shape }) => run(shape, at(2 ** 32 + 5)),
    reference(_, { shape }) {
      const word = words(size(shape) + 1, 2 ** 32 + 5, seed);
      return { ...hostTensor(shape, (i) => element(word, i)), dtype };
    },
    terms: () => 4,
    torch: ({ shape }) => torch(shape),
  });
}

const list: CaseList[] = [
  cases(
    "dropout",
    [
      ...shapes.map((shape) => ({ ...shape, p: 0.25 })),
      { name: "nothing dropped", shape: [3, 7], p: 0 },
      { name: "nearly all dropped", shape: [9, 63], p: 0.999 },
      { name: "encoder", shape: [6400, 128], p: 0.1, bench: true },
      { name: "LLM", shape: [6400, 512], p: 0.1, bench: true },
    ],
    {
      covers: ["dropout"],
      inputs: (random, { shape }) => ({ x: random.normal(shape) }),
      run: ({ x }, { p }) => dropout(x, p, { generator: at(3) }),
      reference({ x }, { shape, p }) {
        const word = words(size(shape), 3, seed);
        return hostTensor(shape, (i) =>
          word[i]! >= Math.round(p * 2 ** 32) ? x.data[i]! / (1 - p) : 0,
        );
      },
      work: ({ shape }) => ({ bytes: 8 * size(shape) }),
      torch: ({ p }) => `torch.nn.functional.dropout(x, ${p})`,
    },
  ),
  generated(
    "random_uniform",
    [{ name: "width 512", shape: [6400, 512], bench: true }],
    (shape, generator) => rand(shape, { generator, low: -2, high: 3 }),
    (word, i) => -2 + 5 * ((word[i]! >>> 8) / 2 ** 24),
    (shape) => `torch.empty([${shape}]).uniform_(-2, 3)`,
  ),
  generated(
    "random_normal",
    [{ name: "item embeddings", shape: [26_744, 128], bench: true }],
    (shape, generator) => randn(shape, { generator, mean: 1, std: 0.5 }),
    (word, i) => {
      const even = i - (i % 2);
      const radius = Math.sqrt(-2 * Math.log((word[even]! + 0.5) / 2 ** 32));
      const angle = (2 * Math.PI * word[even + 1]!) / 2 ** 32;
      return 1 + 0.5 * radius * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
    },
    (shape) => `torch.empty([${shape}]).normal_(1, 0.5)`,
  ),
  generated(
    "random_truncated_normal",
    [{ name: "item embeddings", shape: [26_744, 128], bench: true }],
    (shape, generator) => truncatedNormal(shape, { generator, std: 0.02 }),
    (word, i) => {
      // Bisection on the distribution function.
      const [from, to] = [cdf(-2), cdf(2)];
      const p = from + ((word[i]! + 0.5) / 2 ** 32) * (to - from);
      let [low, high] = [-2, 2];
      for (let step = 0; step < 60; step++) {
        const middle = (low + high) / 2;
        if (cdf(middle) < p) low = middle;
        else high = middle;
      }
      return 0.02 * low;
    },
    (shape) => `torch.nn.init.trunc_normal_(torch.empty([${shape}]), 0, 0.02, -0.04, 0.04)`,
  ),
  generated(
    "random_integers",
    [{ name: "ids", shape: [6400, 128], bench: true }],
    (shape, generator) => randint(-5, 100, shape, { generator }),
    (word, i) => -5 + Math.floor((word[i]! * 105) / 2 ** 32),
    (shape) => `torch.randint(-5, 100, [${shape}])`,
    "int32",
  ),
];
export default list;

/** The normal distribution function near 0: its Taylor series. */
function cdf(x: number): number {
  let sum = x;
  for (let n = 1, term = x; n < 60; n++) {
    term *= -(x * x) / (2 * n);
    sum += term / (2 * n + 1);
  }
  return 0.5 + sum / Math.sqrt(2 * Math.PI);
}
