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
import type { DType, Tensor } from "../../src/tensor/index.js";
import type { CaseList, CaseOptions, HostTensors, Tensors } from "../cases/case.js";

process.env.USER_LLM_MEMORY_LIMIT ??= String(256 << 20); // read when the library is loaded
const { native, nativeError } = await import("../../src/native.js");
const { UserLlmError, NativeError } = await import("../../src/errors.js");
const { bytesPerElement, dtypes, memory, tensor, tidy } = await import("../../src/tensor/index.js");
const { grad } = await import("../../src/autograd/value-and-grad.js");
const check = await import("./check.js");

const runs = Number(process.env.USER_LLM_FUZZ_RUNS ?? 100);
const seed = Number(process.env.USER_LLM_FUZZ_SEED ?? 1);
const logFile = process.env.USER_LLM_FUZZ_LOG;
const { wire } = native;

/** A tensor as it crosses. */
interface Operand {
  dtype: DType;
  shape: number[];
  /** Its raw elements; repeated or cut when the shape has changed. */
  bytes: Uint8Array;
}

/** A call: per input its tensors (none: absent), per attribute its numbers. */
interface RawCall {
  inputs: Operand[][];
  attributes: number[][];
  wanted: number;
}

const ops: readonly NativeOp[] = native.ops();
const lists = await check.loadCases();
const recorded = await recordCalls();

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

/** One way to spoil a call; numbers are taken modulo what there is. */
type Change =
  | { kind: "resize"; which: number; size: number }
  | { kind: "shape"; input: number; shape: number[] }
  | { kind: "dtype"; input: number; dtype: DType }
  | { kind: "value"; input: number; element: number; value: number }
  | { kind: "alias"; input: number; as: number }
  | { kind: "copies"; input: number; count: number }
  | { kind: "handle"; input: number; handle: number }
  | { kind: "attribute"; attribute: number; element: number; value: number }
  | { kind: "attributes"; attribute: number; values: number[] }
  | { kind: "length"; list: number; length: number }
  | { kind: "wanted"; wanted: number }
  | { kind: "wire"; extra: number };

const sizes = [0, 1, 2, 3, 5, 8, 17];
const values = [
  Number.NaN,
  Infinity,
  -Infinity,
  -(2 ** 31),
  2 ** 31 - 1,
  -1,
  0,
  1,
  2,
  5,
  8,
  255,
  1e38,
  1e-40,
];
const numbers = [
  Number.NaN,
  Infinity,
  -Infinity,
  -1,
  -2,
  0,
  1,
  2,
  3,
  7,
  0.5,
  -0.5,
  1e4,
  1e9,
  2 ** 31,
  2 ** 53,
  -(2 ** 63),
  1e300,
];
const handles = [0, -1, 0.5, Number.NaN, Infinity, 1, 2 ** 24, 2 ** 52, 2 ** 53];

const index = fc.nat(15);
const size = fc.constantFrom(...sizes);
const number = fc.oneof(fc.constantFrom(...numbers), fc.integer({ min: -9, max: 40 }), fc.double());
const kind = <K extends Change["kind"]>(name: K) => fc.constant(name);
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: kind("resize"), which: index, size }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: kind("shape"),
      input: index,
      shape: fc.array(size, { maxLength: 5 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: kind("shape"),
      input: index,
      shape: fc.array(fc.constantFrom(0, 1, 2), { maxLength: 8 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: kind("dtype"), input: index, dtype: fc.constantFrom(...dtypes) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: kind("value"),
      input: index,
      element: fc.nat(1000),
      value: fc.constantFrom(...values),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind("alias"), input: index, as: index }) },
  { weight: 2, arbitrary: fc.record({ kind: kind("copies"), input: index, count: fc.nat(3) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: kind("handle"),
      input: index,
      handle: fc.constantFrom(...handles),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: kind("attribute"),
      attribute: index,
      element: index,
      value: number,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: kind("attributes"),
      attribute: index,
      values: fc.array(number, { maxLength: 10 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind("length"), list: index, length: number }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: kind("wanted"), wanted: fc.oneof(fc.nat(7), number) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: kind("wire"), extra: fc.integer({ min: -3, max: 3 }) }),
  },
);

const at = <T>(items: readonly T[], i: number): T | undefined => items[i % (items.length || 1)];

/** Changes of the tensors of a call, in place. */
function changeOperands(inputs: Operand[][], changes: readonly Change[]): void {
  for (const change of changes) {
    if (change.kind === "resize") {
      const present = [...new Set(inputs.flat().flatMap(({ shape }) => shape))];
      const from = at(present, change.which);
      for (const operand of inputs.flat())
        operand.shape = operand.shape.map((size) => (size === from ? change.size : size));
    } else if (change.kind === "alias") {
      const [target, source] = [at(inputs, change.input), at(inputs, change.as)];
      if (target?.[0] && source?.[0]) target[0] = source[0];
    } else if (change.kind === "copies") {
      const target = at(inputs, change.input);
      if (target)
        target.splice(
          0,
          target.length,
          ...Array.from({ length: change.count }, () => target[0] ?? operand()),
        );
    } else if ("input" in change) {
      const target = at(
        inputs.filter(({ length }) => length > 0),
        change.input,
      )?.[0];
      if (!target) continue;
      if (change.kind === "shape") target.shape = change.shape;
      else if (change.kind === "dtype") target.dtype = change.dtype;
      else if (change.kind === "value") {
        const data = arrayOf(target);
        if (data.length > 0) data[change.element % data.length] = change.value;
        target.bytes = new Uint8Array(data.buffer);
      }
    }
  }
}

const operand = (): Operand => ({ dtype: "float32", shape: [2, 3], bytes: new Uint8Array(24) });
const copyOf = ({ dtype, shape, bytes }: Operand): Operand => ({ dtype, shape: [...shape], bytes });

const arrays = {
  float32: Float32Array,
  bfloat16: Uint16Array,
  int32: Int32Array,
  uint8: Uint8Array,
  float64: Float64Array,
};

/** The elements of an operand: as many as its shape says. */
function arrayOf({ dtype, shape, bytes }: Operand) {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  const data = new Uint8Array(size * bytesPerElement[dtype]);
  if (bytes.length > 0) for (let i = 0; i < data.length; i++) data[i] = bytes[i % bytes.length]!;
  return new arrays[dtype](data.buffer);
}

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
      if (count < 0) throw nativeError(count);
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
      { dtype: kind, shape: [...shape], bytes: new Uint8Array(arrays[kind].from(data).buffer) },
    ];
  });
  changeOperands(operands, changes);
  const given = Object.fromEntries(
    names.map((name, i) => {
      const operand = operands[i]![0]!;
      return [name, operand && tensor(arrayOf(operand), { shape: operand.shape })];
    }),
  ) as Tensors<HostTensors>;
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
  const live = Object.values(given).filter((value) => value !== undefined);
  try {
    const outputs = tidy(() => [list.spec.run(given, options)].flat() as Tensor[]);
    await settle(outputs);
    const floats = live.filter(({ dtype }) => dtype === "float32" || dtype === "float64");
    const gradients = grad(floats, () => {
      const made = [list.spec.run(given, options)].flat() as Tensor[];
      return check.total(made.filter(({ dtype, trace }) => dtype === "float32" && trace));
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

/** The outputs of a call, which the native side has put on the wire. */
function rows(count: number): { handle: number; dtype: DType; shape: number[] }[] {
  let at = 0;
  return Array.from({ length: count }, () => {
    const [handle, dtype, rank] = wire.subarray(at, at + 3);
    const shape = [...wire.subarray(at + 3, at + 3 + rank!)];
    at += 3 + rank!;
    return { handle: handle!, dtype: dtypes[dtype!]!, shape };
  });
}

function plainCall({ inputs, attributes }: NativeOp): RawCall {
  return {
    inputs: inputs.map(() => [operand()]),
    attributes: attributes.map(() => [1]),
    wanted: 0,
  };
}

function smallCases(list: CaseList): (readonly [CaseList, CaseOptions, HostTensors])[] {
  return list.shapes.flatMap((options) => {
    const inputs = check.inputsOf(list, options, 3_000);
    return inputs ? [[list, options, inputs] as const] : [];
  });
}

/** What the cases and their gradients call, by op; calls of one signature once. */
async function recordCalls(): Promise<Map<string, RawCall[]>> {
  const { run, upload, view } = native;
  const known = new Map<number, { dtype: DType; shape: number[] }>();
  const learn = (count: number): number => {
    if (count > 0) for (const { handle, ...meta } of rows(count)) known.set(handle, meta);
    return count;
  };
  const pending = new Map<string, Promise<RawCall>>();
  native.upload = (...call) => learn(upload.apply(native, call));
  native.view = (...call) => learn(view.apply(native, call));
  native.run = (number, length) => {
    const op = ops[number]!;
    let next = 0;
    const take = (name: string): number[] => {
      const count = name.endsWith("*") ? wire[next++]! : 1;
      next += count;
      return [...wire.subarray(next - count, next)];
    };
    const handles = op.inputs.map((name) => take(name).filter((handle) => handle !== 0));
    const attributes = op.attributes.map(take);
    const wanted = wire[next]!;
    const key = JSON.stringify([
      op.name,
      handles.map((all) => all.map((handle) => known.get(handle))),
      attributes.map((values) => values.length),
      wanted,
    ]);
    if (!pending.has(key))
      pending.set(
        key,
        Promise.all(
          handles.map((all) =>
            Promise.all(
              all.map(async (handle): Promise<Operand> => {
                const meta = known.get(handle)!;
                const read = await native.read(handle);
                const bytes = read instanceof ArrayBuffer ? new Uint8Array(read) : new Uint8Array();
                return { ...meta, bytes };
              }),
            ),
          ),
        ).then((inputs) => ({ inputs, attributes, wanted })),
      );
    return learn(run.call(native, number, length));
  };
  try {
    for (const list of lists)
      for (const [, options, inputs] of smallCases(list))
        for (const precision of ["float32", "float64"] as const) {
          const outputs = await check.forward(list, options, inputs, precision);
          const cotangents = check.cotangentsOf(list, options, outputs);
          if (cotangents.size > 0 && check.differentiableInputs(list, inputs).length > 0)
            await check.gradients(list, options, inputs, cotangents, precision);
        }
  } finally {
    Object.assign(native, { run, upload, view });
  }
  const calls = new Map<string, RawCall[]>();
  for (const [key, call] of pending) {
    const [name] = JSON.parse(key) as [string];
    calls.set(name, [...(calls.get(name) ?? []), await call]);
  }
  return calls;
}
