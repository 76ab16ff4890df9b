/** Ranking a catalogue: operands of every kind, with everything that can multiply them; what is a fault, what is refused. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { DTypeError, NativeError, ShapeError, UsageError } from "../../src/errors.js";
import {
  type CatalogueOptions,
  cast,
  matmulTopK,
  ones,
  rankOfTargets,
} from "../../src/ops/index.js";
import { cpuInfo, type Tensor, tensor } from "../../src/tensor/index.js";
import type { CatalogueResult } from "./matmul-top-k.js";

const program = fileURLToPath(new URL("matmul-top-k.ts", import.meta.url));

async function run(env: Record<string, string>): Promise<CatalogueResult> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--import=tsx", program], {
    env: { ...process.env, ...env },
  });
  return JSON.parse(stdout) as CatalogueResult;
}

const multipliers = ["convert", "avx512bf16", "amx"];
for (const name of multipliers.slice(0, multipliers.indexOf(cpuInfo().bfloat16) + 1))
  test.serial(`whole numbers rank alike in float32 and in bfloat16 by ${name}`, async (t) => {
    t.timeout(120_000);
    const one = await run({ USER_LLM_BF16: name, USER_LLM_THREADS: "1" });
    t.is(one.multiplier, name);
    t.deepEqual(one.problems, []);
    const three = await run({ USER_LLM_BF16: name, USER_LLM_THREADS: "3" });
    t.deepEqual(three, one);
  });

for (const isa of ["avx2", "plain"])
  test.serial(`whole numbers rank alike with ${isa} kernels`, async (t) => {
    t.timeout(120_000);
    t.deepEqual((await run({ USER_LLM_ISA: isa })).problems, []);
  });

const ids = (...values: number[]): Tensor => tensor(values, { dtype: "int32" });
const [x, weight] = [ones([2, 3]), ones([5, 3])];
const best = (options: CatalogueOptions): Tensor => matmulTopK(x, weight, 2, options).indices;
const ranks = (options: CatalogueOptions): Tensor => rankOfTargets(x, weight, ids(0, 4), options);

test("what a row leaves out is checked", async (t) => {
  const faults = [
    [ids(0, 5), ids(0, 1, 2), /excluded\[1\] = 5 must be in \[0, 5\)/],
    [ids(-1, 2), ids(0, 2, 2), /excluded\[0\] = -1 must be in \[0, 5\)/],
    [
      ids(1, 2),
      ids(0, 3, 2),
      /offsets\[1\] = 3 does not fit: offsets must rise from 0 to 2, the number of excluded ids/,
    ],
    [ids(1, 2), ids(0, 1, 1), /offsets\[2\] = 1 does not fit/],
    [ids(1, 2), ids(1, 1, 2), /offsets\[0\] = 1 does not fit/],
  ] as const;
  for (const [list, offsets, message] of faults)
    for (const of of [best, ranks])
      await t.throwsAsync(() => of({ excluded: { ids: list, offsets } }).data(), {
        instanceOf: NativeError,
        message,
      });
  await t.throwsAsync(() => rankOfTargets(x, weight, ids(0, 5)).data(), {
    instanceOf: NativeError,
    message: /targets\[1\] = 5 must be in \[0, 5\)/,
  });
});

test("equal embeddings tie to the bit, and ties count against the target", async (t) => {
  const row = Float32Array.from({ length: 77 }, (_, i) => Math.sin(i * i));
  const table = new Float32Array(77 * 300);
  for (let c = 0; c < 300; c++) table.set(row, c * 77);
  const same = tensor(table, { shape: [300, 77] });
  const query = tensor(row, { shape: [1, 77] });
  for (const w of [same, cast(same, "bfloat16")]) {
    t.is(await rankOfTargets(query, w, ids(299)).item(), 300);
    t.is(await rankOfTargets(query, w, ids(0)).item(), 300);
    t.deepEqual([...(await matmulTopK(query, w, 4).indices.data())], [0, 1, 2, 3]);
  }
  const excluded = { ids: ids(5, 5, 7, 3), offsets: ids(0, 4) };
  t.is(await rankOfTargets(query, same, ids(7), { excluded }).item(), 298);
});

test("tensors that do not belong together are refused", (t) => {
  t.throws(() => matmulTopK(x, weight, 6), {
    instanceOf: ShapeError,
    message: "matmul_top_k: weight [5, 3] has no 6 classes",
  });
  t.throws(() => matmulTopK(x, ones([5, 4]), 1), {
    instanceOf: ShapeError,
    message: /x \[2, 3\] and weight \[5, 4\] must have the same width \(3 vs 4\)/,
  });
  t.throws(() => best({ bias: ones([2]) }), {
    instanceOf: ShapeError,
    message: /bias \[2\] must be \[5\], one for each class/,
  });
  t.throws(() => best({ excluded: { ids: ids(1), offsets: ids(0, 1) } }), {
    instanceOf: ShapeError,
    message: /offsets \[2\] must be \[3\], one more than there are rows/,
  });
  t.throws(() => ranks({ excluded: { ids: ids(1) } as never }), { instanceOf: UsageError });
  t.throws(() => matmulTopK(cast(x, "bfloat16"), weight, 1), {
    instanceOf: DTypeError,
    message: /x is bfloat16 and weight is float32; a float32 weight needs precision "bfloat16"/,
  });
  t.throws(() => ranks({ precision: "half" as never }), { instanceOf: UsageError });
});
