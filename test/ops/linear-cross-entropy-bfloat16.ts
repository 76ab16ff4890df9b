/**
 * linearCrossEntropy of operands rounded to bfloat16, against float64 loops over the rounded operands. What is left is
 * the rounding of the gradient of the logits, 2⁻⁸ of each product, and float32 sums. Prints, as JSON, what multiplied, a
 * digest of all bits and what is wrong with them; for child processes, since threads and instructions are fixed when the
 * library is loaded.
 */
import { createHash } from "node:crypto";
import { valueAndGrad } from "../../src/autograd/value-and-grad.js";
import { cast, type LinearCrossEntropyOptions, linearCrossEntropy } from "../../src/ops/index.js";
import { fromBFloat16, toBFloat16 } from "../../src/tensor/dtype.js";
import { cpuInfo } from "../../src/tensor/index.js";
import { memory, tidy } from "../../src/tensor/memory.js";
import { type Tensor, tensor } from "../../src/tensor/tensor.js";
import { hostRandom } from "../cases/random-host.js";
import { type Computed, download } from "./check.js";

export interface RoundedLossResult {
  multiplier: string;
  digest: string;
  problems: string[];
}

interface Case {
  rows: number;
  width: number;
  classes: number;
  spread?: number;
  targets?: number;
  ignored?: number;
  biased?: boolean;
  weighted?: boolean;
  labelSmoothing?: number;
  softCap?: number;
}

const cases: readonly Case[] = [
  { rows: 1, width: 5, classes: 1 },
  { rows: 7, width: 7, classes: 7, biased: true },
  { rows: 17, width: 33, classes: 63 },
  { rows: 199, width: 64, classes: 97, biased: true, weighted: true, ignored: 0.3 },
  { rows: 33, width: 130, classes: 1_201, labelSmoothing: 0.1 },
  { rows: 65, width: 32, classes: 640, targets: 3, ignored: 0.4, biased: true },
  { rows: 20, width: 16, classes: 300, softCap: 2, labelSmoothing: 0.2, biased: true },
  { rows: 900, width: 8, classes: 70 },
  { rows: 6, width: 600, classes: 2_000 },
  { rows: 9, width: 12, classes: 500, spread: 3_000 },
  { rows: 5, width: 8, classes: 80, ignored: 1, biased: true },
];

const problems: string[] = [];
const hash = createHash("sha1");

const round = (values: Float64Array): Float64Array =>
  Float64Array.from(fromBFloat16(toBFloat16(values)));

function given({ rows, width, classes, spread = 2, targets, ignored = 0 }: Case) {
  const random = hostRandom(`bfloat16 ${rows} ${width} ${classes}`);
  const single = (values: Float64Array): Float64Array =>
    Float64Array.from(Float32Array.from(values));
  const shape = targets === undefined ? [rows] : [rows, targets];
  const hidden = random.uniform(shape, 0, 1).data;
  return {
    x: single(random.normal([rows, width]).data),
    weight: single(random.normal([classes, width], spread * width ** -0.5).data),
    bias: single(random.normal([classes]).data),
    weights: single(random.uniform([rows], 0.5, 2).data),
    targets: {
      shape,
      data: random.integers(shape, classes).data.map((y, i) => (hidden[i]! < ignored ? -100 : y)),
    },
  };
}

/** Loss and gradients in float64, and how far each may be off. */
function reference(options: Case, inputs: ReturnType<typeof given>) {
  const { rows, width, classes, labelSmoothing = 0, softCap } = options;
  const [x, weight] = [round(inputs.x), round(inputs.weight)];
  const perRow = options.targets ?? 1;
  const { data: targets } = inputs.targets;
  const counting = Array.from({ length: rows }, (_, r) =>
    Array.from({ length: perRow }, (_, e) => targets[r * perRow + e]!).filter((y) => y !== -100),
  );
  const weightOf = (r: number): number =>
    counting[r]!.length === 0 ? 0 : options.weighted ? inputs.weights[r]! : 1;
  const total = counting.reduce((sum, _, r) => sum + weightOf(r), 0);
  const zeros = (size: number) => ({
    value: new Float64Array(size),
    bound: new Float64Array(size),
  });
  const xGrad = zeros(rows * width);
  const weightGrad = zeros(classes * width);
  const biasGrad = zeros(classes);
  let loss = 0;
  let scale = 0;
  for (let r = 0; r < rows; r++) {
    if (weightOf(r) === 0) continue;
    const factor = weightOf(r) / total;
    const logits = Float64Array.from({ length: classes }, (_, c) => {
      let sum = options.biased ? inputs.bias[c]! : 0;
      for (let k = 0; k < width; k++) sum += x[r * width + k]! * weight[c * width + k]!;
      return softCap === undefined ? sum : softCap * Math.tanh(sum / softCap);
    });
    const top = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    const logSum = top + Math.log(logits.reduce((sum, z) => sum + Math.exp(z - top), 0));
    // Float32 scores of this size are off by so much.
    const size = logits.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    const error = (4 + 2 * Math.sqrt(width)) * 2 ** -23 * size + 1e-5;
    scale = Math.max(scale, error);
    const desired = new Float64Array(classes).fill(labelSmoothing / classes);
    for (const y of counting[r]!) desired[y]! += (1 - labelSmoothing) / counting[r]!.length;
    for (let c = 0; c < classes; c++) {
      const p = Math.exp(logits[c]! - logSum);
      const slope = softCap === undefined ? 1 : 1 - (logits[c]! / softCap) ** 2;
      const g = factor * slope * (p - desired[c]!);
      loss += factor * desired[c]! * (logSum - logits[c]!);
      const off = 1.01 * 2 ** -8 * Math.abs(g) + 2 * error * factor * p + 1e-30;
      biasGrad.value[c]! += g;
      biasGrad.bound[c]! += off;
      for (let k = 0; k < width; k++) {
        xGrad.value[r * width + k]! += g * weight[c * width + k]!;
        xGrad.bound[r * width + k]! += off * Math.abs(weight[c * width + k]!);
        weightGrad.value[c * width + k]! += g * x[r * width + k]!;
        weightGrad.bound[c * width + k]! += off * Math.abs(x[r * width + k]!);
      }
    }
  }
  return [
    { value: Float64Array.of(loss), bound: Float64Array.of(2 * scale + 1e-6 * loss) },
    xGrad,
    weightGrad,
    ...(options.biased ? [biasGrad] : []),
  ];
}

async function evaluate(watched: readonly Tensor[], loss: () => Tensor): Promise<Computed[]> {
  const { loss: value, gradients } = tidy(() => valueAndGrad(watched, loss));
  const all = [value, ...watched.map((x) => gradients.get(x)!)];
  const computed = await Promise.all(all.map(download));
  for (const x of all) x.dispose();
  return computed;
}

function upload(options: Case, inputs: ReturnType<typeof given>) {
  const { rows, width, classes } = options;
  const tensors = {
    x: tensor(inputs.x, { shape: [rows, width], dtype: "float32" }),
    weight: tensor(inputs.weight, { shape: [classes, width], dtype: "float32" }),
    bias: tensor(inputs.bias, { shape: [classes], dtype: "float32" }),
    weights: tensor(inputs.weights, { shape: [rows], dtype: "float32" }),
    targets: tensor(inputs.targets.data, { shape: inputs.targets.shape, dtype: "int32" }),
  };
  const settings: LinearCrossEntropyOptions = {
    bias: options.biased ? tensors.bias : undefined,
    weights: options.weighted ? tensors.weights : undefined,
    softCap: options.softCap,
    labelSmoothing: options.labelSmoothing ?? 0,
  };
  return { tensors, settings };
}

/** Compares all bits. */
function requireSame(label: string, actual: readonly Computed[], expected: readonly Computed[]) {
  const different = actual.flatMap(({ data }, i) =>
    data.every((value, at) => Object.is(value, expected[i]!.data[at])) ? [] : [i],
  );
  if (different.length > 0) problems.push(`${label}: ${different} differ`);
}

for (const options of cases) {
  const name = JSON.stringify(options);
  const inputs = given(options);
  const { tensors, settings } = upload(options, inputs);
  const { x, weight, bias, targets } = tensors;
  const bfloat16 = { ...settings, precision: "bfloat16" } as const;
  const watched = options.biased ? [x, weight, bias] : [x, weight];
  const computed = await evaluate(watched, () => linearCrossEntropy(x, weight, targets, bfloat16));
  for (const { data } of computed) hash.update(new Uint8Array(data.buffer));
  for (const [i, { value, bound }] of reference(options, inputs).entries()) {
    const { data } = computed[i]!;
    const at = value.findIndex((expected, at) => !(Math.abs(data[at]! - expected) <= bound[at]!));
    if (at >= 0)
      problems.push(`${name}, ${i}: [${at}] is ${data[at]}, expected ${value[at]} ± ${bound[at]}`);
  }

  const rounded = tidy(() => cast(weight, "bfloat16"));
  requireSame(
    `${name}, shadow`,
    await evaluate(watched, () =>
      linearCrossEntropy(x, weight, targets, { ...bfloat16, shadow: rounded }),
    ),
    computed,
  );
  requireSame(
    `${name}, weight in bfloat16`,
    await evaluate([x], () => linearCrossEntropy(x, rounded, targets, settings)),
    computed,
  );
  const evaluated = tidy(() => linearCrossEntropy(x, weight, targets, bfloat16));
  requireSame(`${name}, evaluation`, [await download(evaluated)], computed);
  const [loss, xGrad] = computed;
  requireSame(
    `${name}, x in bfloat16`,
    await evaluate([x], () => linearCrossEntropy(cast(x, "bfloat16"), weight, targets, bfloat16)),
    [loss!, { ...xGrad!, data: round(xGrad!.data) }],
  );
  for (const x of [...Object.values(tensors), rounded, evaluated]) x.dispose();
}
if (memory().tensors > 0) problems.push(`${memory().tensors} tensors leaked`);

const result: RoundedLossResult = {
  multiplier: cpuInfo().bfloat16,
  digest: hash.digest("hex"),
  problems,
};
console.log(JSON.stringify(result));
