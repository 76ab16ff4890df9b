/** linearCrossEntropy in bfloat16, with everything that can multiply; chunks, memory, messages. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { valueAndGrad } from "../../src/autograd/value-and-grad.js";
import { cast, linearCrossEntropy, slice } from "../../src/ops/index.js";
import { cpuInfo } from "../../src/tensor/index.js";
import { memory, resetPeakMemory, tidy } from "../../src/tensor/memory.js";
import { type Tensor, tensor } from "../../src/tensor/tensor.js";
import { hostRandom } from "../cases/random-host.js";
import { download } from "./check.js";
import type { RoundedLossResult } from "./linear-cross-entropy-bfloat16.js";

const program = fileURLToPath(new URL("linear-cross-entropy-bfloat16.ts", import.meta.url));

async function run(env: Record<string, string>): Promise<RoundedLossResult> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--import=tsx", program], {
    env: { ...process.env, ...env },
  });
  return JSON.parse(stdout) as RoundedLossResult;
}

function inputs(rows: number, width: number, classes: number) {
  const random = hostRandom(`bfloat16 ${rows} ${width} ${classes}`);
  const float = (shape: number[], scale: number): Tensor =>
    tensor(Float32Array.from(random.normal(shape, scale).data), { shape });
  return {
    x: float([rows, width], 1),
    weight: float([classes, width], 2 * width ** -0.5),
    targets: tensor(Int32Array.from(random.integers([rows], classes).data), { shape: [rows] }),
  };
}

test.afterEach((t) => {
  t.is(memory().tensors, 0);
});

/** From the slowest; a machine has those up to its own. */
const multipliers = ["convert", "avx512bf16", "amx"];
for (const name of multipliers.slice(0, multipliers.indexOf(cpuInfo().bfloat16) + 1))
  test.serial(`by ${name}, on one thread and on three`, async (t) => {
    t.timeout(300_000);
    const one = await run({ USER_LLM_BF16: name, USER_LLM_THREADS: "1" });
    t.is(one.multiplier, name);
    t.deepEqual(one.problems, []);
    const three = await run({ USER_LLM_BF16: name, USER_LLM_THREADS: "3" });
    t.is(three.digest, one.digest);
  });

for (const isa of ["avx2", "plain"])
  test.serial(`by ${isa} kernels`, async (t) => {
    t.timeout(300_000);
    t.deepEqual((await run({ USER_LLM_ISA: isa })).problems, []);
  });

for (const count of [191, 192, 193, 767, 768, 769])
  test.serial(`${count} rows are the first of 800`, async (t) => {
    const { x, weight, targets } = inputs(800, 4, 9_000);
    const rowsOf = async (end: number): Promise<Float64Array> => {
      const losses = tidy(() =>
        linearCrossEntropy(slice(x, 0, 0, end), weight, slice(targets, 0, 0, end), {
          reduction: "none",
          precision: "bfloat16",
        }),
      );
      const { data } = await download(losses);
      losses.dispose();
      return data;
    };
    t.deepEqual(await rowsOf(count), (await rowsOf(800)).subarray(0, count));
    for (const tensor of [x, weight, targets]) tensor.dispose();
  });

test.serial("beyond its outputs a call takes at most 48 MB", async (t) => {
  for (const [rows, width, classes] of [
    [800, 128, 26_744],
    [7, 4, 1_200_000],
    [800, 2_048, 3_000],
  ] as const) {
    const { x, weight, targets } = inputs(rows, width, classes);
    await x.data();
    resetPeakMemory();
    const before = memory().bytes;
    const results = tidy(() =>
      valueAndGrad([x, weight], () =>
        linearCrossEntropy(x, weight, targets, { precision: "bfloat16" }),
      ),
    );
    const outputs = 4 * (rows * width + classes * width);
    t.true(memory().peakBytes - before - outputs <= 48_000_000, `${rows} x ${width} x ${classes}`);
    for (const tensor of [results.loss, ...results.gradients.values(), x, weight, targets])
      tensor.dispose();
  }
});

test.serial("wrong calls say what is wrong", (t) => {
  const { x, weight, targets } = inputs(3, 4, 5);
  const double = cast(x, "float64");
  const half = cast(x, "bfloat16");
  t.throws(() => linearCrossEntropy(double, weight, targets, { precision: "bfloat16" }), {
    message: /x is float64 and weight is float32; bfloat16 arithmetic is for float32 and bfloat16/,
  });
  t.throws(() => linearCrossEntropy(x, weight, targets, { shadow: weight }), {
    message: /shadow is for precision "bfloat16"/,
  });
  t.throws(() => linearCrossEntropy(half, weight, targets), {
    message: /x is bfloat16 and weight is float32; a float32 weight needs precision "bfloat16"/,
  });
  t.throws(() => linearCrossEntropy(x, weight, targets, { precision: "half" as "bfloat16" }), {
    message: /precision must be "float32" or "bfloat16", got "half"/,
  });
  for (const tensor of [x, weight, targets, double, half]) tensor.dispose();
});
