import { geglu, swiglu } from "../../src/ops/gated.js";
import { type CaseOptions, cases, type HostTensor, hostTensor } from "./case.js";

interface Options extends CaseOptions {
  lead: readonly number[];
  width: number;
}

const shapes: readonly Options[] = [
  { name: "one", lead: [1], width: 1 },
  { name: "a vector", lead: [], width: 7 },
  { name: "seven", lead: [2, 3], width: 7 },
  { name: "sixty-three", lead: [5], width: 63 },
  { name: "one hundred ninety-nine rows", lead: [199], width: 3 },
  { name: "several tasks", lead: [7], width: 4_000, gradcheck: false },
  { name: "no rows", lead: [0], width: 3 },
  { name: "no width", lead: [3], width: 0 },
];
const benched: readonly Options[] = [{ name: "2048x1536", lead: [2048], width: 1536, bench: true }];

const activations = {
  swiglu: { op: swiglu, of: (x: number) => x / (1 + Math.exp(-x)), torch: "silu(gate)" },
  geglu: {
    op: geglu,
    of: (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
    torch: 'gelu(gate, approximate="tanh")',
  },
} as const;

const spec = {
  covers: ["gated", "gated_backward"],
  // The exponential's error, and that of what is made of it.
  terms: () => 4,
  work: ({ lead, width }: Options) => ({
    bytes: 4 * 3 * width * lead.reduce((a, b) => a * b, 1),
  }),
};

/** activation(gate) · up, with `at` the position of the gate of an element, `by` further the up's. */
const reference = (
  { lead, width }: Options,
  of: (x: number) => number,
  gate: (i: number) => number,
  up: (i: number) => number,
): HostTensor => hostTensor([...lead, width], (i) => of(gate(i)) * up(i));

export default Object.entries(activations).flatMap(([name, { op, of, torch }]) => [
  cases(name, [...shapes, ...benched], {
    ...spec,
    inputs: (random, { lead, width }) => ({ x: random.normal([...lead, 2 * width], 3) }),
    run: ({ x }) => op(x),
    reference: ({ x }, options) => {
      const { width } = options;
      const at = (i: number): number => Math.floor(i / width) * 2 * width + (i % width);
      return reference(
        options,
        of,
        (i) => x.data[at(i)]!,
        (i) => x.data[at(i) + width]!,
      );
    },
    torch: () => `(lambda gate, up: torch.nn.functional.${torch} * up)(*x.chunk(2, -1))`,
  }),
  cases(`${name}_pair`, [...shapes, ...benched], {
    ...spec,
    inputs: (random, { lead, width }) => ({
      gate: random.normal([...lead, width], 3),
      up: random.normal([...lead, width]),
    }),
    run: ({ gate, up }) => op(gate, up),
    reference: ({ gate, up }, options) =>
      reference(
        options,
        of,
        (i) => gate.data[i]!,
        (i) => up.data[i]!,
      ),
    torch: () => `torch.nn.functional.${torch} * up`,
  }),
]);
