/**
 * Hostile calls of every op on the raw door: the outcome is an error of the right kind whose message names the op, a
 * valid result, or a fault at the read; never a crash. Then hostile inputs to the public functions, with gradients.
 *
 * The calls that the cases make are recorded and changed: shapes, dtypes, handles, attributes, lengths, values.
 * `USER_LLM_FUZZ_RUNS` sets how many changed calls there are per op, `USER_LLM_FUZZ_SEED` which ones;
 * `USER_LLM_FUZZ_LOG` names a file that holds the current call, to be read after a crash.
 */
import { writeFileSync } from "node:fs";
import test from "ava";
import fc from "fast-check";
import type { NativeOp } from "../../src/native.js";
import { arrayOf as elementsOfDType } from "../../src/tensor/dtype.js";
import type { Tensor } from "../../src/tensor/index.js";
import type { CaseList, CaseOptions, HostTensors } from "../cases/case.js";
import {
  arrayOf,
  at,
  type Change,
  change,
  changeOperands,
  copyOf,
  type Operand,
  operand,
  type RawCall,
} from "./hostile.js";

process.env.USER_LLM_MEMORY_LIMIT ??= String(256 << 20); // read when the library is loaded
const { native, nativeError } = await import("../../src/native.js");
const { UserLlmError, NativeError } = await import("../../src/errors.js");
const { bytesPerElement, dtypes, memory, tensor, tidy } = await import("../../src/tensor/index.js");
const { grad } = await import("../../src/autograd/value-and-grad.js");
const { loadCases } = await import("../cases/inputs.js");
const { total } = await import("./check.js");
const { recordCalls, rows, smallCases } = await import("./recorded-calls.js");

const runs = Number(process.env.USER_LLM_FUZZ_RUNS ?? 100);
const seed = Number(process.env.USER_LLM_FUZZ_SEED ?? 1);
const logFile = process.env.USER_LLM_FUZZ_LOG;
const { wire } = native;
const ops: readonly NativeOp[] = native.ops();
const lists = await loadCases();
const recorded = await recordCalls(lists);

for (const [number, op] of ops.entries())
  test.serial(`raw calls of ${op.name}`, async (t) => {
    t.timeout(600_000);
    const calls = recorded.get(op.name) ?? [plainCall(op)];
    const before = memory().tensors;
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(change, { maxLength: 4 }), async (which, changes) => {
        await hostileCall(number, op, calls[which % calls.length]!, changes);
        if (memory().tensors !== before)
          throw new Error(`${memory().tensors - before} tensors leaked`);
      }),
      { seed, numRuns: runs },
    );
    t.pass();
  });

for (const op of new Set(lists.map(({ op }) => op)))
  test.serial(`public calls of ${op}`, async (t) => {
    t.timeout(600_000);
    const cases = lists.filter((list) => list.op === op).flatMap(smallCases);
    const before = memory().tensors;
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(change, { maxLength: 3 }), async (which, changes) => {
        const [list, options, inputs] = cases[which % cases.length]!;
        await publicCall(list, options, inputs, changes);
        if (memory().tensors !== before)
          throw new Error(`${memory().tensors - before} tensors leaked`);
      }),
      { seed, numRuns: cases.length === 0 ? 0 : Math.ceil(runs / 2) },
    );
    t.pass();
  });
async function hostileCall(
  number: number,
  op: NativeOp,
  call: RawCall,
  changes: readonly Change[],
): Promise<void> {
  const inputs = call.inputs.map((operands) => operands.map(copyOf));
  const attributes = call.attributes.map((values) => [...values]);
  let { wanted } = call;
  let extra = 0;
  changeOperands(inputs, changes);
  for (const change of changes) {
    if (change.kind === "attributes")
      attributes[change.attribute % (attributes.length || 1)] = change.values;
    if (change.kind === "wanted") wanted = change.wanted;
    if (change.kind === "wire") extra = change.extra;
    if (change.kind !== "attribute") continue;
    const values = at(attributes, change.attribute);
    if (values) values[change.element % (values.length || 1)] = change.value;
  }

  const uploaded = new Map<Operand, number>();
  for (const operand of inputs.flat())
    if (!uploaded.has(operand)) {
      const count = native.upload(
        dtypes.indexOf(operand.dtype),
        arrayOf(operand),
        writeSizes(operand.shape),
      );
      if (count < 0) {
        // An operand too large to be made is refused like a call too large to be run.
        for (const handle of uploaded.values()) native.release(handle);
        return requireGoodError("tensor", nativeError(count));
      }
      uploaded.set(operand, wire[0]!);
    }
  const words: number[] = [];
  const lengths: number[] = [];
  op.inputs.forEach((name, i) => {
    const handles = inputs[i]!.map((operand) => uploaded.get(operand)!);
    if (name.endsWith("*")) lengths.push(words.push(handles.length) - 1);
    words.push(...(name.endsWith("*") ? handles : [handles[0] ?? 0]));
  });
  const handleWords = words.length;
  op.attributes.forEach((name, i) => {
    const values = attributes[i] ?? [];
    if (name.endsWith("*")) lengths.push(words.push(values.length) - 1);
    words.push(...(name.endsWith("*") ? values : [values[0] ?? 0]));
  });
  words.push(wanted);
  for (const change of changes) {
    if (change.kind === "handle" && handleWords > 0)
      words[change.input % handleWords] = change.handle;
    if (change.kind === "length" && lengths.length > 0)
      words[at(lengths, change.list)!] = change.length;
  }

  if (logFile) {
    const shown = inputs.map((operands) =>
      operands.map(({ dtype, shape }) => `${dtype} [${shape}]`),
    );
    writeFileSync(
      logFile,
      JSON.stringify({ op: op.name, inputs: shown, attributes, words, changes }),
    );
  }
  const live = memory().tensors;
  wire.set(words);
  const count = native.run(number, Math.max(0, words.length + extra));
  const outputs = count < 0 ? [] : rows(count);
  try {
    if (count < 0) {
      if (memory().tensors !== live) throw new Error("a failed call made tensors");
      requireGoodError(op.name, nativeError(count));
    }
    for (const { handle, dtype, shape } of outputs) {
      if (handle === 0) continue;
      const bytes = shape.reduce((product, size) => product * size, 1) * bytesPerElement[dtype];
      requireGoodRead(await native.read(handle), bytes);
    }
    for (const [operand, handle] of uploaded)
      requireGoodRead(await native.read(handle), arrayOf(operand).byteLength);
  } finally {
    for (const { handle } of outputs) if (handle !== 0) native.release(handle);
    for (const handle of uploaded.values()) native.release(handle);
  }
}

function requireGoodError(op: string, error: InstanceType<typeof UserLlmError>): void {
  if (error.code === "ERR_OUT_OF_MEMORY") return;
  const good =
    ["ERR_SHAPE", "ERR_DTYPE", "ERR_USAGE"].includes(error.code) &&
    error.message.startsWith(`${op}: `) &&
    (error.code !== "ERR_SHAPE" || /\[[\d, ]*\]|\d/.test(error.message));
  if (!good) throw new Error(`a bad error: ${error.code} ${error.message}`);
}

function requireGoodRead(read: ArrayBuffer | string | number, bytes: number): void {
  if (typeof read === "string" ? !read.startsWith("cpu failed at op #") : typeof read === "number")
    throw new Error(`a bad read: ${String(read)}`);
  if (read instanceof ArrayBuffer && read.byteLength !== bytes)
    throw new Error(`${read.byteLength} bytes were read, not ${bytes}`);
}

/** Runs a case with changed inputs, then its gradient. */
async function publicCall(
  list: CaseList,
  options: CaseOptions,
  inputs: HostTensors,
  changes: readonly Change[],
): Promise<void> {
  const names = Object.keys(inputs);
  const operands = names.map((name): Operand[] => {
    const { shape, data, dtype } = inputs[name]!;
    const kind = dtype === "float" ? "float32" : dtype;
    return [
      { dtype: kind, shape: [...shape], bytes: new Uint8Array(elementsOfDType(kind, data).buffer) },
    ];
  });
  changeOperands(operands, changes);
  const live: Tensor[] = [];
  try {
    const given: Record<string, Tensor> = {};
    for (const [i, name] of names.entries()) {
      const operand = operands[i]![0];
      if (!operand) continue;
      given[name] = tensor(arrayOf(operand), { shape: operand.shape });
      live.push(given[name]);
    }
    if (logFile)
      writeFileSync(
        logFile,
        JSON.stringify({
          list: list.op,
          options,
          inputs: Object.entries(given).map(([n, x]) => `${n} ${x}`),
          changes,
        }),
      );
    const outputs = tidy(() => [list.spec.run(given, options)].flat() as Tensor[]);
    await settle(outputs);
    const floats = live.filter(({ dtype }) => dtype === "float32" || dtype === "float64");
    const gradients = grad(floats, () => {
      const made = [list.spec.run(given, options)].flat() as Tensor[];
      return total(made.filter(({ dtype, trace }) => dtype === "float32" && trace));
    });
    await settle([...gradients.values()]);
  } catch (error) {
    if (!(error instanceof UserLlmError)) throw error;
  } finally {
    for (const value of live) value.dispose();
  }
}

/** Reads and disposes; poisoned tensors may refuse. */
async function settle(tensors: readonly Tensor[]): Promise<void> {
  for (const tensor of tensors) {
    try {
      await tensor.data();
    } catch (error) {
      if (!(error instanceof NativeError)) throw error;
    } finally {
      tensor.dispose();
    }
  }
}

function writeSizes(shape: readonly number[]): number {
  wire.set(shape);
  return shape.length;
}
function plainCall({ inputs, attributes }: NativeOp): RawCall {
  return {
    inputs: inputs.map(() => [operand()]),
    attributes: attributes.map(() => [1]),
    wanted: 0,
  };
}
