/**
 * Ranks catalogues with every kind of operand and prints, as JSON, a digest of all results and what is wrong with them.
 * For child processes: threads, instruction set and multiplier are fixed when the library is loaded.
 */
import { createHash } from "node:crypto";
import {
  cast,
  concat,
  Generator,
  matmulTopK,
  randn,
  rankOfTargets,
  slice,
  zerosLike,
} from "../../src/ops/index.js";
import { cpuInfo, type Tensor, tensor, tidy } from "../../src/tensor/index.js";
import type { Tensors } from "../cases/case.js";
import { disposeAll, inputsOf, upload } from "../cases/inputs.js";
import lists, { type CatalogueCase, catalogueOptions, type Inputs } from "../cases/matmul-top-k.js";

export interface CatalogueResult {
  multiplier: string;
  digest: string;
  problems: string[];
}

const problems: string[] = [];
const hash = createHash("sha1");

/** Copies of the operands that hold the same numbers, whole ones below 2^8. */
const operands: Record<
  string,
  (x: Tensor, weight: Tensor) => [Tensor, Tensor, { precision?: "bfloat16"; shadow?: Tensor }]
> = {
  "a slice": (x, weight) => [x, slice(concat([weight, weight], 0), 0, weight.shape[0]!), {}],
  "a bfloat16 weight": (x, weight) => [x, cast(weight, "bfloat16"), {}],
  "a slice of a bfloat16 weight": (x, weight) => [
    x,
    slice(cast(concat([weight, weight], 0), "bfloat16"), 0, weight.shape[0]!),
    {},
  ],
  "precision bfloat16": (x, weight) => [x, weight, { precision: "bfloat16" }],
  "a shadow": (x, weight) => [
    x,
    zerosLike(weight),
    { precision: "bfloat16", shadow: cast(weight, "bfloat16") },
  ],
  "all in bfloat16": (x, weight) => [cast(x, "bfloat16"), cast(weight, "bfloat16"), {}],
};

async function read(tensors: readonly Tensor[]): Promise<string> {
  const parts = await Promise.all(tensors.map(async (x) => [...(await x.data())].join()));
  disposeAll(tensors);
  return parts.join(";");
}

function rank(given: Tensors<Inputs>, shape: CatalogueCase, name?: string): Tensor[] {
  return tidy(() => {
    const [x, weight, options] = name
      ? operands[name]!(given.x, given.weight)
      : ([given.x, given.weight, {}] as const);
    const all = { ...catalogueOptions(given, shape), ...options };
    const { values, indices } = matmulTopK(x, weight, shape.k, all);
    return [values, indices, rankOfTargets(x, weight, given.targets, all)];
  });
}

const [list] = lists;
for (const shape of list!.shapes as readonly CatalogueCase[]) {
  const inputs = shape.whole ? inputsOf(list!, shape, 60_000) : undefined;
  if (!inputs) continue;
  const given = upload(inputs, "float32") as Tensors<Inputs>;
  const wanted = await read(rank(given, shape));
  hash.update(wanted);
  for (const name of Object.keys(operands))
    if ((await read(rank(given, shape, name))) !== wanted) problems.push(`${shape.name}: ${name}`);
  disposeAll(Object.values(given));
}

// Numbers that are not whole: a rank is the place in the list of all, by the same arithmetic.
for (const [rows, width] of [
  [1, 64],
  [37, 129],
  [150, 31],
] as const) {
  const classes = 700;
  const generator = new Generator(rows);
  const x = randn([rows, width], { generator });
  const weight = randn([classes, width], { generator });
  const targets = tensor(Int32Array.from({ length: rows }, (_, r) => (r * 31) % classes));
  for (const name of ["a slice", ...Object.keys(operands)]) {
    const [values, indices, ranks] = tidy(() => {
      const [a, b, options] = operands[name]!(x, weight);
      const best = matmulTopK(a, b, classes, options);
      return [best.values, best.indices, rankOfTargets(a, b, targets, options)] as const;
    });
    const [ids, places] = [await indices.data(), await ranks.data()];
    hash.update(await read([values, indices, ranks]));
    for (let r = 0; r < rows; r++)
      if (ids[r * classes + places[r]! - 1] !== (r * 31) % classes)
        problems.push(`row ${r} of ${rows}, ${name}: rank ${places[r]} is another class's place`);
  }
  disposeAll([x, weight, targets]);
}

const result: CatalogueResult = {
  multiplier: cpuInfo().bfloat16,
  digest: hash.digest("hex"),
  problems,
};
console.log(JSON.stringify(result));
