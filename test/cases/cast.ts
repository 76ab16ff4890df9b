import { cast } from "../../src/ops/cast.js";
import { type CaseOptions, type CaseSpec, cases, type HostTensor, hostTensor } from "./case.js";

interface Cast extends CaseOptions {
  shape: readonly number[];
  from?: "int32" | "uint8";
  to: "float32" | "float64" | "bfloat16" | "int32" | "uint8";
  scale?: number;
}

const shapes: readonly Cast[] = [
  { name: "to float64", shape: [3, 63], to: "float64" },
  // Rounding to float32 is all that central differences in float64 would see.
  { name: "to float32", shape: [199], to: "float32", gradcheck: false },
  { name: "to int32", shape: [199], to: "int32", scale: 1000 },
  { name: "to int32, too large", shape: [199], to: "int32", scale: 1e10 },
  { name: "to uint8", shape: [199], to: "uint8", scale: 200 },
  { name: "int32 to float32", shape: [3, 63], from: "int32", to: "float32" },
  { name: "int32 to float64", shape: [63], from: "int32", to: "float64" },
  { name: "int32 to uint8", shape: [199], from: "int32", to: "uint8" },
  { name: "uint8 to int32", shape: [63], from: "uint8", to: "int32" },
  { name: "uint8 to float32", shape: [63], from: "uint8", to: "float32" },
  { name: "no rows", shape: [0, 7], to: "int32" },
];
const toBFloat16: readonly Cast[] = [
  { name: "to bfloat16", shape: [3, 63], to: "bfloat16" },
  { name: "int32 to bfloat16", shape: [63], from: "int32", to: "bfloat16" },
  { name: "activations to bfloat16", shape: [6400, 512], to: "bfloat16", bench: true },
];

const whole = (x: number, low: number, high: number): number =>
  Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), low), high);

const spec: CaseSpec<Cast, { x: HostTensor }> = {
  covers: ["cast"],
  inputs(random, { shape, from, scale = 1 }) {
    const x: HostTensor =
      from === "int32"
        ? random.integers(shape, 400)
        : from === "uint8"
          ? { ...random.integers(shape, 256), dtype: "uint8" }
          : random.normal(shape, scale);
    return { x };
  },
  run: ({ x }, { to }) => cast(x, to),
  reference({ x }, { to }) {
    const of = (element: (value: number) => number): HostTensor =>
      hostTensor(x.shape, (i) => element(x.data[i]!));
    if (to === "int32") return { ...of((v) => whole(v, -(2 ** 31), 2 ** 31 - 1)), dtype: "int32" };
    if (to === "uint8") return { ...of((v) => whole(v, 0, 255)), dtype: "uint8" };
    return of((v) => v);
  },
  torch: ({ to }) => `x.to(torch.${to})`,
};

export default [
  cases("cast", shapes, spec),
  // There is no arithmetic to test the gradient of a bfloat16 result with.
  cases("cast", toBFloat16, { ...spec, differentiableOutputs: [] }),
];
