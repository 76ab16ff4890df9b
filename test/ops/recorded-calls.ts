/** The calls of ops that the cases make, as they cross to the native side. */
import { type NativeOp, native } from "../../src/native.js";
import { type DType, dtypes } from "../../src/tensor/dtype.js";
import type { CaseList, CaseOptions, HostTensors } from "../cases/case.js";
import { differentiableInputs, inputsOf } from "../cases/inputs.js";
import { cotangentsOf, forward, gradients } from "./check.js";
import type { Operand, RawCall } from "./hostile.js";

const { wire } = native;
const ops: readonly NativeOp[] = native.ops();

/** What the cases and their gradients call, by op; calls of one signature once. */
export async function recordCalls(lists: readonly CaseList[]): Promise<Map<string, RawCall[]>> {
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
          const outputs = await forward(list, options, inputs, precision);
          const cotangents = cotangentsOf(list, options, outputs);
          if (cotangents.size > 0 && differentiableInputs(list, inputs).length > 0)
            await gradients(list, options, inputs, cotangents, precision);
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

export function smallCases(list: CaseList): (readonly [CaseList, CaseOptions, HostTensors])[] {
  return list.shapes.flatMap((options) => {
    const inputs = inputsOf(list, options, 3_000);
    return inputs ? [[list, options, inputs] as const] : [];
  });
}
/** The outputs of a call, which the native side has put on the wire. */
export function rows(count: number): { handle: number; dtype: DType; shape: number[] }[] {
  let at = 0;
  return Array.from({ length: count }, () => {
    const [handle, dtype, rank] = wire.subarray(at, at + 3);
    const shape = [...wire.subarray(at + 3, at + 3 + rank!)];
    at += 3 + rank!;
    return { handle: handle!, dtype: dtypes[dtype!]!, shape };
  });
}
