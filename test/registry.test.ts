/** Every op is complete: kernel, TypeScript signature, gradient, cases, golden. */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import test from "ava";
import { native } from "../src/native.js";
import { declaredOps } from "../src/ops/define-op.js";
import { loadCases } from "./cases/inputs.js";
import { goldenFile } from "./ops/golden.js";

/** What is missing on purpose, and why. */
const exceptions = {
  /** Case lists without a golden of their own. */
  golden: {
    adafactor: "optimizers/steps: whole steps of transformers' optimizer",
    adamw: "optimizers/steps: whole steps of PyTorch's optimizers",
    dropout: "another generator than PyTorch's",
    full: "nothing to compute",
    lion: "optimizers/steps: whole steps by the paper's definition",
    random_integers: "another generator than PyTorch's",
    random_normal: "another generator than PyTorch's",
    random_truncated_normal: "another generator than PyTorch's",
    random_uniform: "another generator than PyTorch's",
    sgd: "optimizers/steps: whole steps of PyTorch's optimizers",
  } as Readonly<Record<string, string>>,
  /** Folders of goldens that belong to other tests than that of the ops. */
  goldenFolders: [
    ...["dual", "generation", "llm", "lora", "models", "nn", "optimizers", "safetensors"],
    ...["tokenizers", "train-bpe"],
  ] as readonly string[],
  /** Ops without a CUDA kernel: all of them until there is a CUDA backend. */
  cuda: native.ops().length,
} as const;

// Modules declare their ops when they are loaded.
for (const folder of ["ops", "optim", "nn"]) {
  const url = new URL(`../src/${folder}/`, import.meta.url);
  for (const file of await readdir(url)) await import(new URL(file, url).href);
}
const ops = native.ops();
const lists = await loadCases();

test("every op has a CPU kernel", (t) => {
  t.deepEqual(
    ops.filter(({ cpu }) => !cpu).map(({ name }) => name),
    [],
  );
});

test("the ops without a CUDA kernel are counted", (t) => {
  t.is(ops.filter((op) => !("cuda" in op)).length, exceptions.cuda);
});

test("every op is declared in TypeScript with the same signature, and no other", (t) => {
  const signature = ({ name, inputs, attributes, outputs }: (typeof ops)[number]) =>
    `${name}(${inputs.join(", ")}; ${attributes.join(", ")}) -> ${outputs.join(", ")}`;
  t.deepEqual(
    [...declaredOps.values()].map((op) => signature({ ...op, mutates: [], cpu: true })).sort(),
    ops.map(signature).sort(),
  );
});

test("every op has a gradient, or a reason why not", (t) => {
  for (const { name, noGradient } of declaredOps.values())
    t.true(noGradient === undefined || noGradient.length > 5, name);
});

test("ops that change a tensor in place have no gradient", (t) => {
  const changing = ops.filter(({ mutates }) => mutates.length > 0).map(({ name }) => name);
  t.deepEqual(
    changing.filter((name) => declaredOps.get(name)?.noGradient === undefined),
    [],
  );
});

test("every op is covered by cases", (t) => {
  const covered = new Set(lists.flatMap(({ spec }) => spec.covers));
  t.deepEqual(
    ops.map(({ name }) => name).filter((name) => !covered.has(name)),
    [],
  );
});

test("cases cover ops that there are", (t) => {
  const names = new Set(ops.map(({ name }) => name));
  t.deepEqual(
    lists.flatMap(({ spec }) => spec.covers).filter((name) => !names.has(name)),
    [],
  );
});

test("every case list and case has a name of its own", (t) => {
  const names = lists.flatMap(({ op, shapes }) => shapes.map(({ name }) => `${op} · ${name}`));
  t.deepEqual(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  );
});

test("every case list has a golden, or a reason why not", (t) => {
  const complete = new Set(
    lists
      .filter(({ op, shapes }) => shapes.some(({ name }) => existsSync(goldenFile(op, name))))
      .map(({ op }) => op),
  );
  const without = [...new Set(lists.map(({ op }) => op))].filter((op) => !complete.has(op));
  t.deepEqual(without, Object.keys(exceptions.golden).sort());
});

test("every golden belongs to a case", async (t) => {
  const folder = new URL("golden/", import.meta.url);
  const files = (await readdir(folder, { recursive: true })).filter(
    (file) => file.includes("/") && !exceptions.goldenFolders.includes(file.split("/")[0]!),
  );
  const known = new Set(
    lists.flatMap(({ op, shapes }) => shapes.map(({ name }) => goldenFile(op, name).href)),
  );
  t.deepEqual(
    files.filter((file) => !known.has(new URL(file, folder).href)),
    [],
  );
});

test("every bench case has a PyTorch expression", (t) => {
  const benched = lists.filter(({ shapes }) => shapes.some(({ bench }) => bench));
  t.deepEqual(
    benched.filter(({ spec }) => !spec.torch).map(({ op }) => op),
    [],
  );
});
