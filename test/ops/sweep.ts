/**
 * Runs every case once and prints, as JSON, a digest of all bits it computed in float32 and what is wrong with them.
 * For child processes: threads and instruction set are fixed when the library is loaded.
 */
import { createHash } from "node:crypto";
import { differentiableInputs, elementsOf, inputsOf, loadCases } from "../cases/inputs.js";
import {
  type Computed,
  cotangentsOf,
  forward,
  forwardProblems,
  gradientProblems,
  gradients,
} from "./check.js";

export interface SweepResult {
  digest: string;
  problems: string[];
}

/** Large enough that ops split their work. */
const limit = 400_000;
/** Up to which the results are compared with the reference. */
const referenceLimit = 60_000;

const results: Record<string, SweepResult> = {};
for (const list of await loadCases())
  for (const options of list.shapes) {
    const inputs = inputsOf(list, options, limit);
    if (!inputs) continue;
    const outputs = await forward(list, options, inputs, "float32");
    const problems =
      elementsOf(inputs) <= referenceLimit ? forwardProblems(list, options, inputs, outputs) : [];
    const computed = [...outputs];
    const cotangents = cotangentsOf(list, options, outputs);
    if (differentiableInputs(list, inputs).length > 0 && cotangents.size > 0) {
      const single = await gradients(list, options, inputs, cotangents, "float32");
      const double = await gradients(list, options, inputs, cotangents, "float64");
      problems.push(...gradientProblems(list, options, cotangents, single, double));
      computed.push(...Object.values(single));
    }
    results[`${list.op} · ${options.name}`] = { digest: digest(computed), problems };
  }
console.log(JSON.stringify(results));

function digest(computed: readonly Computed[]): string {
  const hash = createHash("sha1");
  for (const { shape, dtype, data } of computed) {
    hash.update(`${dtype} [${shape}]`);
    hash.update(new Uint8Array(data.buffer));
  }
  return hash.digest("hex");
}
