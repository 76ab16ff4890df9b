/**
 * Runs products in bfloat16 and prints, as JSON, what multiplied them, a digest of all bits and what is wrong with
 * them. For child processes: threads and instructions are fixed when the library is loaded.
 */
import { createHash } from "node:crypto";
import { Parameter } from "../../src/autograd/parameter.js";
import { grad } from "../../src/autograd/value-and-grad.js";
import { cast, linear, matmul, multiply, sum } from "../../src/ops/index.js";
import { SGD } from "../../src/optim/index.js";
import { fromBFloat16, toBFloat16 } from "../../src/tensor/dtype.js";
import { cpuInfo, type Tensor, tensor, tidy } from "../../src/tensor/index.js";
import { hostRandom } from "../cases/random-host.js";

export interface Bfloat16Result {
  multiplier: string;
  digest: string;
  problems: string[];
}

type Matrix = Float64Array;
const round = (values: ArrayLike<number>): Matrix =>
  Float64Array.from(fromBFloat16(toBFloat16(values)));
const random = hostRandom("bfloat16");
const normal = (size: number, scale = 1): Matrix => random.normal([size], scale).data;
const gelu = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

const problems: string[] = [];
const hash = createHash("sha1");

/** A product in float64, with the sum of the magnitudes of its terms. */
interface Product {
  value: Matrix;
  size: Matrix;
}

/** Σ over k of a(i, k) · b(k, j). */
function product(
  [rows, inner, columns]: readonly [number, number, number],
  a: (i: number, k: number) => number,
  b: (k: number, j: number) => number,
): Product {
  const value = new Float64Array(rows * columns);
  const size = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < inner; k++) {
      const x = a(i, k);
      for (let j = 0; j < columns; j++) {
        const term = x * b(k, j);
        value[i * columns + j]! += term;
        size[i * columns + j]! += Math.abs(term);
      }
    }
  return { value, size };
}

/** Within what float32 sums of `terms` terms, and a final rounding to the result's dtype, may err. */
async function compare(
  label: string,
  actual: Tensor,
  expected: Product,
  terms: number,
): Promise<void> {
  const raw = await actual.data();
  hash.update(new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength));
  const data = raw instanceof Uint16Array ? fromBFloat16(raw) : raw;
  if (data.length !== expected.value.length)
    problems.push(`${label}: ${data.length} elements, expected ${expected.value.length}`);
  for (let i = 0; i < expected.value.length; i++) {
    const wanted = expected.value[i]!;
    const allowed =
      2 ** -24 * (8 + 4 * Math.sqrt(terms)) * (expected.size[i]! + Math.abs(wanted)) +
      (raw instanceof Uint16Array ? 2 ** -8 * Math.abs(wanted) : 0) +
      1e-30;
    if (Math.abs(data[i]! - wanted) <= allowed) continue;
    problems.push(`${label}: element ${i} is ${data[i]}, expected ${wanted} ± ${allowed}`);
    return;
  }
}

type Kind = "float32" | "bfloat16";
const upload = (data: Matrix, shape: number[], dtype: Kind): Tensor =>
  tensor(data, { shape, dtype });

// linear: every shape, with all that may follow a product, in each combination of dtypes.
const sizes = [
  [1, 1, 1],
  [1, 64, 100],
  [7, 7, 7],
  [31, 33, 63],
  [33, 1, 17],
  [63, 31, 1],
  [199, 199, 199],
  [48, 96, 64],
  [5, 2100, 40],
  [3, 0, 5],
  [0, 3, 4],
  [2, 3, 0],
  // Weights whose packs are not kept.
  [1, 161, 1000],
  [3, 320, 450],
  [17, 161, 1000],
  [50, 320, 450],
  [70, 161, 1000],
] as const;
const dtypes = [
  { x: "float32", weight: "float32" },
  { x: "float32", weight: "float32", shadow: true },
  { x: "float32", weight: "bfloat16" },
  { x: "bfloat16", weight: "bfloat16" },
  { x: "bfloat16", weight: "float32" },
] as const;
for (const [rows, inWidth, outWidth] of sizes)
  for (const { x: xDtype, weight: weightDtype, ...options } of dtypes) {
    const shadowed = "shadow" in options;
    const [x, weight] = [normal(rows * inWidth), normal(outWidth * inWidth, inWidth ** -0.5 || 1)];
    const [bias, residual] = [normal(outWidth), normal(rows * outWidth)];
    const cotangent = normal(rows * outWidth);
    const label = `linear [${rows}, ${inWidth}] to ${outWidth}, x ${xDtype}, weight ${weightDtype}${shadowed ? ", shadow" : ""}`;
    const given = {
      x: upload(x, [rows, inWidth], xDtype),
      weight: upload(weight, [outWidth, inWidth], weightDtype),
      bias: upload(bias, [outWidth], "float32"),
      residual: upload(residual, [rows, outWidth], xDtype),
    };
    const shadow = shadowed ? cast(given.weight, "bfloat16") : undefined;
    const precision = weightDtype === "bfloat16" ? "float32" : "bfloat16"; // implied or asked for
    const [xr, wr] = [round(x), round(weight)];
    const plain = product(
      [rows, inWidth, outWidth],
      (i, k) => xr[i * inWidth + k]!,
      (k, j) => wr[j * inWidth + k]!,
    );
    const residualSeen = xDtype === "bfloat16" ? round(residual) : residual;
    const map = (f: (value: number, i: number) => number): Product => ({
      value: plain.value.map(f),
      size: plain.size.map((size) => 2 * size + 4),
    });
    const biased = (value: number, i: number): number => value + bias[i % outWidth]!;
    await compare(
      label,
      linear(given.x, given.weight, undefined, { precision, shadow }),
      plain,
      inWidth,
    );
    await compare(
      `${label}, bias, residual`,
      linear(given.x, given.weight, given.bias, { precision, shadow, residual: given.residual }),
      map((value, i) => biased(value, i) + residualSeen[i]!),
      inWidth,
    );
    await compare(
      `${label}, gelu, residual`,
      linear(given.x, given.weight, given.bias, {
        precision,
        shadow,
        residual: given.residual,
        activation: "gelu",
      }),
      map((value, i) => gelu(biased(value, i)) + residualSeen[i]!),
      inWidth,
    );

    // Gradients, of float32 activations and weights.
    if (xDtype === "bfloat16" || rows * outWidth * inWidth === 0) continue;
    const wanted = weightDtype === "float32" ? [given.x, given.weight, given.bias] : [given.x];
    const upstream = upload(cotangent, [rows, outWidth], "float32");
    const gradients = grad(wanted, () =>
      sum(multiply(linear(given.x, given.weight, given.bias, { precision, shadow }), upstream)),
    );
    const cr = round(cotangent);
    await compare(
      `${label}, gradient of x`,
      gradients.get(given.x)!,
      product(
        [rows, outWidth, inWidth],
        (i, k) => cr[i * outWidth + k]!,
        (k, j) => wr[k * inWidth + j]!,
      ),
      outWidth,
    );
    if (weightDtype === "bfloat16") continue;
    await compare(
      `${label}, gradient of weight`,
      gradients.get(given.weight)!,
      product(
        [outWidth, rows, inWidth],
        (i, k) => cr[k * outWidth + i]!,
        (k, j) => xr[k * inWidth + j]!,
      ),
      rows,
    );
    await compare(
      `${label}, gradient of bias`,
      gradients.get(given.bias)!,
      product(
        [1, rows, outWidth],
        () => 1,
        (k, j) => cotangent[k * outWidth + j]!,
      ),
      rows,
    );
  }

// The gradient goes through activations that are bfloat16.
for (const activation of ["none", "gelu"] as const) {
  const [x, weight, cotangent] = [normal(33 * 40), normal(24 * 40, 0.2), normal(33 * 24)];
  const given = upload(round(x), [33, 40], "float32");
  const frozen = upload(weight, [24, 40], "bfloat16");
  const upstream = upload(round(cotangent), [33, 24], "float32");
  const gradients = grad([given], () => {
    const result = linear(cast(given, "bfloat16"), frozen, undefined, { activation });
    return sum(multiply(cast(result, "float32"), upstream));
  });
  const wr = round(weight);
  const before = product(
    [33, 40, 24],
    (i, k) => round(x)[i * 40 + k]!,
    (k, j) => wr[j * 40 + k]!,
  );
  const slope = (at: number): number => (gelu(at + 1e-5) - gelu(at - 1e-5)) / 2e-5;
  const through = before.value.map(
    (at, i) => round(cotangent)[i]! * (activation === "gelu" ? slope(at) : 1),
  );
  const { value } = product(
    [33, 24, 40],
    (i, k) => through[i * 24 + k]!,
    (k, j) => wr[k * 40 + j]!,
  );
  const actual = Float64Array.from(await gradients.get(given)!.data());
  const worst = Math.max(...value.map((wanted, i) => Math.abs(actual[i]! - wanted)));
  if (!(worst < 0.05)) problems.push(`gradient of a bfloat16 x, ${activation}: off by ${worst}`);
}

// matmul: layouts, batches, an operand that a batch shares.
for (const [batch, rows, inner, columns] of [
  [1, 33, 65, 47],
  [3, 17, 31, 40],
  [40, 5, 7, 9],
  [2, 100, 1100, 130],
  [2, 40, 0, 3],
] as const)
  for (const transposeA of [false, true])
    for (const transposeB of [false, true])
      for (const shared of [false, true])
        for (const [aDtype, bDtype] of [
          ["float32", "float32"],
          ["float32", "bfloat16"],
          ["bfloat16", "bfloat16"],
        ] as const) {
          const [a, b] = [
            normal(batch * rows * inner),
            normal((shared ? 1 : batch) * inner * columns),
          ];
          const [ar, br] = [round(a), round(b)];
          const aShape = transposeA ? [batch, inner, rows] : [batch, rows, inner];
          const bShape = transposeB ? [columns, inner] : [inner, columns];
          const result = matmul(
            upload(a, aShape, aDtype),
            upload(b, shared ? bShape : [batch, ...bShape], bDtype),
            { transposeA, transposeB, scale: 0.5, precision: "bfloat16" },
          );
          const items = Array.from({ length: batch }, (_, item) =>
            product(
              [rows, inner, columns],
              (i, k) =>
                0.5 * ar[item * rows * inner + (transposeA ? k * rows + i : i * inner + k)]!,
              (k, j) =>
                br[
                  (shared ? 0 : item) * inner * columns +
                    (transposeB ? j * inner + k : k * columns + j)
                ]!,
            ),
          );
          const joined = (key: keyof Product): Matrix =>
            Float64Array.from(items.flatMap((item) => [...item[key]]));
          await compare(
            `matmul ${batch} of [${rows}, ${inner}] by ${columns}, ${aDtype} ${transposeA}, ${bDtype} ${transposeB}, ${shared}`,
            result,
            { value: joined("value"), size: joined("size") },
            inner,
          );
        }

// What a weight is packed into follows its changes, and is not taken for the pack of another arithmetic.
for (const shadowed of [false, true]) {
  const x = normal(9 * 40);
  const parameter = new Parameter(upload(normal(24 * 40), [24, 40], "float32"));
  const input = upload(x, [9, 40], "float32");
  const optimizer = new SGD([parameter], { learningRate: 0.5 });
  for (let step = 0; step < 3; step++) {
    const weight = Float64Array.from(await parameter.value.data());
    const terms = (of: (values: Matrix) => Matrix): Product =>
      product(
        [9, 40, 24],
        (i, k) => of(x)[i * 40 + k]!,
        (k, j) => of(weight)[j * 40 + k]!,
      );
    const shadow = shadowed ? parameter.shadow : undefined;
    const label = `after ${step} steps${shadowed ? " of a shadow too" : ""}`;
    await compare(
      `${label}, bfloat16`,
      linear(input, parameter.value, undefined, { precision: "bfloat16", shadow }),
      terms(round),
      40,
    );
    await compare(
      `${label}, float32`,
      linear(input, parameter.value),
      terms((values) => values),
      40,
    );
    const gradients = grad([parameter], () =>
      sum(linear(input, parameter.value, undefined, { precision: "bfloat16", shadow })),
    );
    optimizer.step(gradients);
  }
}

// What is not finite stays so.
const strange = tidy(() =>
  linear(
    tensor([Number.NaN, 1, Infinity, 1, 1e39, 1], { shape: [3, 2] }),
    tensor([1, 1], { shape: [1, 2] }),
    undefined,
    { precision: "bfloat16" },
  ),
);
const [notNumber, ...infinite] = await strange.data();
if (!Number.isNaN(notNumber) || infinite.some((value) => value !== Infinity))
  problems.push(`not finite: ${notNumber}, ${infinite}`);

const result: Bfloat16Result = {
  multiplier: cpuInfo().bfloat16,
  digest: hash.digest("hex"),
  problems,
};
console.log(JSON.stringify(result));
