/** Products in bfloat16, with everything that can multiply them; and the dtypes that go together. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { DTypeError, UsageError } from "../../src/errors.js";
import { cast, linear, matmul, ones } from "../../src/ops/index.js";
import { cpuInfo, measurePeak, type Tensor, tidy } from "../../src/tensor/index.js";
import type { Bfloat16Result } from "./bfloat16.js";

const program = fileURLToPath(new URL("bfloat16.ts", import.meta.url));

async function run(env: Record<string, string>): Promise<Bfloat16Result> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--import=tsx", program], {
    env: { ...process.env, ...env },
    maxBuffer: 1 << 26,
  });
  return JSON.parse(stdout) as Bfloat16Result;
}

/** From the slowest; a machine has those up to its own. */
const multipliers = ["convert", "avx512bf16", "amx"];
for (const name of multipliers.slice(0, multipliers.indexOf(cpuInfo().bfloat16) + 1))
  test.serial(`products by ${name}, on one thread and on three`, async (t) => {
    t.timeout(300_000);
    const one = await run({ USER_LLM_BF16: name, USER_LLM_THREADS: "1" });
    t.is(one.multiplier, name);
    t.deepEqual(one.problems, []);
    const three = await run({ USER_LLM_BF16: name, USER_LLM_THREADS: "3" });
    t.is(three.digest, one.digest);
  });

for (const isa of ["avx2", "plain"])
  test.serial(`products by ${isa} kernels`, async (t) => {
    t.timeout(300_000);
    const { multiplier, problems } = await run({ USER_LLM_ISA: isa });
    t.is(multiplier, "convert");
    t.deepEqual(problems, []);
  });

test.serial("the peak in bfloat16 is measured", async (t) => {
  const { gflops, bfloat16Gflops } = await measurePeak();
  t.true(bfloat16Gflops > 0);
  if (cpuInfo().bfloat16 === "convert") t.is(bfloat16Gflops, gflops);
});

const refuses = (
  t: import("ava").ExecutionContext,
  body: () => Tensor,
  instanceOf: typeof DTypeError | typeof UsageError,
  message: string,
) => t.throws(() => tidy(body), { instanceOf, message });

test.serial("dtypes that do not go together are one clear error", (t) => {
  const x = ones([2, 3]);
  const weight = ones([4, 3]);
  const [half, double] = [cast(x, "bfloat16"), cast(x, "float64")];
  const [halfWeight, doubleWeight] = [cast(weight, "bfloat16"), cast(weight, "float64")];
  refuses(
    t,
    () => linear(x, doubleWeight),
    DTypeError,
    "linear: x is float32 and weight is float64; they must be the same",
  );
  refuses(
    t,
    () => linear(double, halfWeight),
    DTypeError,
    "linear: x is float64 and weight is bfloat16; bfloat16 arithmetic is for float32 and bfloat16",
  );
  refuses(
    t,
    () => linear(double, doubleWeight, undefined, { precision: "bfloat16" }),
    DTypeError,
    "linear: x is float64 and weight is float64; bfloat16 arithmetic is for float32 and bfloat16",
  );
  refuses(
    t,
    () => linear(half, weight),
    DTypeError,
    'linear: x is bfloat16 and weight is float32; a float32 weight needs precision "bfloat16"',
  );
  refuses(
    t,
    () => linear(x, weight, undefined, { shadow: halfWeight }),
    DTypeError,
    'linear: shadow is for precision "bfloat16" and a float32 weight, which is float32',
  );
  refuses(
    t,
    () => linear(x, weight, undefined, { precision: "bfloat16", shadow: weight }),
    DTypeError,
    "linear: shadow is float32, must be bfloat16",
  );
  refuses(
    t,
    () =>
      linear(x, weight, undefined, {
        precision: "bfloat16",
        residual: ones([2, 4], { dtype: "float64" }),
      }),
    DTypeError,
    "linear: x is float32 and residual is float64; they must be the same",
  );
  refuses(
    t,
    () => linear(x, weight, undefined, { precision: "half" as "bfloat16" }),
    UsageError,
    'linear: precision must be "float32" or "bfloat16", got "half"',
  );
  refuses(
    t,
    () => matmul(half, x, { transposeB: true, precision: "bfloat16" }),
    DTypeError,
    "matmul: a is bfloat16 and b is float32; they must be the same",
  );
  refuses(
    t,
    () => matmul(x, cast(x, "int32"), { transposeB: true }),
    DTypeError,
    "matmul: b is int32, must be float32 or float64 or bfloat16",
  );
  for (const tensor of [x, weight, half, double, halfWeight, doubleWeight]) tensor.dispose();
});

test.serial("a result has the dtype of x", async (t) => {
  const x = ones([2, 3]);
  const weight = ones([4, 3]);
  const options = { precision: "bfloat16" } as const;
  const half = (tensor: Tensor) => cast(tensor, "bfloat16");
  tidy(() => {
    t.is(linear(x, weight, undefined, options).dtype, "float32");
    t.is(linear(x, half(weight)).dtype, "float32");
    t.is(linear(half(x), half(weight)).dtype, "bfloat16");
    t.is(linear(half(x), weight, undefined, options).dtype, "bfloat16");
    t.is(matmul(half(x), half(x), { transposeB: true }).dtype, "bfloat16");
    t.is(matmul(x, half(x), { transposeB: true }).dtype, "float32");
  });
  x.dispose();
  weight.dispose();
});
