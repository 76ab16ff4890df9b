/** Every case of test/cases: forward, gradients, PyTorch, leaks. */
import test from "ava";
import { gradcheck } from "../../src/autograd/gradcheck.js";
import { memory } from "../../src/tensor/memory.js";
import type { Tensor } from "../../src/tensor/tensor.js";
import type { CaseList, CaseOptions, HostTensor, HostTensors, Tensors } from "../cases/case.js";
import {
  differentiableInputs,
  disposeAll,
  elementsOf,
  inputsOf,
  loadCases,
  upload,
} from "../cases/inputs.js";
import {
  type Computed,
  cotangentsOf,
  difference,
  differentiableOutputs,
  forward,
  forwardProblems,
  gradientProblems,
  gradients,
  magnitude,
  toleranceOf,
} from "./check.js";
import { type Golden, readGolden } from "./golden.js";

/** Input elements up to which a case is a test; larger ones are benches. */
const testLimit = 60_000;
/** Input elements up to which gradients are checked by differences. */
const gradcheckLimit = 2_000;

for (const list of await loadCases())
  for (const options of list.shapes) {
    const inputs = inputsOf(list, options, testLimit);
    if (!inputs) continue;
    test.serial(`${list.op} · ${options.name}`, async (t) => {
      t.timeout(120_000);
      await forward(list, options, inputs, "float32"); // makes lasting state, such as that of generators
      const before = memory().tensors;
      const problems = await caseProblems(list, options, inputs);
      const golden = readGolden(list, options);
      if (golden) problems.push(...(await goldenProblems(list, options, inputs, golden)));
      const leaked = memory().tensors - before;
      if (leaked !== 0) problems.push(`${leaked} tensors leaked`);
      t.deepEqual(problems, []);
    });
  }

async function caseProblems(
  list: CaseList,
  options: CaseOptions,
  inputs: HostTensors,
): Promise<string[]> {
  const single = await forward(list, options, inputs, "float32");
  const double = await forward(list, options, inputs, "float64");
  const problems = [single, double].flatMap((outputs) =>
    forwardProblems(list, options, inputs, outputs),
  );
  const cotangents = cotangentsOf(list, options, single);
  if (differentiableInputs(list, inputs).length === 0 || cotangents.size === 0) return problems;

  problems.push(
    ...gradientProblems(
      list,
      options,
      cotangents,
      await gradients(list, options, inputs, cotangents, "float32"),
      await gradients(list, options, inputs, cotangents, "float64"),
    ),
  );
  if (options.gradcheck ?? elementsOf(inputs) <= gradcheckLimit)
    problems.push(...(await differenceProblems(list, options, inputs, double)));
  return problems;
}

/** Gradients against central differences, in float64. */
async function differenceProblems(
  list: CaseList,
  options: CaseOptions,
  inputs: HostTensors,
  outputs: readonly Computed[],
): Promise<string[]> {
  const given = upload(inputs, "float64");
  const names = differentiableInputs(list, inputs);
  const positions = differentiableOutputs(list, outputs);
  const { passed, worst } = await gradcheck(
    (...changed) => {
      const run: Tensors<HostTensors> = {
        ...given,
        ...Object.fromEntries(names.map((name, i) => [name, changed[i]!])),
      };
      const results = [list.spec.run(run, options)].flat() as Tensor[];
      return positions.map((i) => results[i]!);
    },
    names.map((name) => given[name]!),
  );
  disposeAll(Object.values(given));
  if (passed || !worst) return [];
  const where = worst.element === undefined ? "a random direction" : `element ${worst.element}`;
  return [
    `gradient of ${names[worst.input]} along ${where} is ${worst.gradient}, differences say ${worst.difference}`,
  ];
}

/** Outputs and gradients against PyTorch's, which were computed in float64. */
async function goldenProblems(
  list: CaseList,
  options: CaseOptions,
  inputs: HostTensors,
  golden: Golden,
): Promise<string[]> {
  const signature = (of: HostTensors): string =>
    Object.entries(of)
      .map(([name, { dtype, shape }]) => `${name} ${dtype} [${shape}]`)
      .sort()
      .join(", ");
  if (signature(inputs) !== signature(golden.inputs))
    return [`golden: has ${signature(golden.inputs)}, the case ${signature(inputs)}`];

  const terms = list.spec.terms?.(options) ?? 1;
  const problems: string[] = [];
  for (const precision of ["float32", "float64"] as const) {
    const outputs = await forward(list, options, golden.inputs, precision);
    const compare = (actual: Computed, expected: HostTensor, i: number): string[] => {
      const tolerance = toleranceOf(actual.dtype, terms, magnitude(expected.data));
      return difference(`golden: output ${i} (${actual.dtype})`, actual, expected, tolerance);
    };
    if (outputs.length !== golden.outputs.length)
      problems.push(`golden: ${golden.outputs.length} outputs, the case has ${outputs.length}`);
    else problems.push(...outputs.flatMap((output, i) => compare(output, golden.outputs[i]!, i)));

    if (golden.cotangents.size === 0) continue;
    const computed = await gradients(list, options, golden.inputs, golden.cotangents, precision);
    problems.push(
      ...gradientProblems(list, options, golden.cotangents, computed, golden.gradients).map(
        (problem) => `golden: ${problem}`,
      ),
    );
  }
  return problems;
}
