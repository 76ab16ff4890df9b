/** Reads test/golden/<op>/<case>.safetensors, which scripts/goldens.py wrote with PyTorch. */
import { existsSync, readFileSync } from "node:fs";
import { fromBFloat16 } from "../../src/tensor/dtype.js";
import type { CaseList, CaseOptions, HostTensor, HostTensors } from "../cases/case.js";

export interface Golden {
  readonly inputs: HostTensors;
  readonly outputs: readonly HostTensor[];
  /** Upstream gradients by the position of the output. */
  readonly cotangents: ReadonlyMap<number, HostTensor>;
  /** Gradients by the name of the input. */
  readonly gradients: HostTensors;
}

export const goldenFile = (op: string, name: string): URL =>
  new URL(`../golden/${op}/${name.replaceAll(" ", "-")}.safetensors`, import.meta.url);

/** The golden of a case; `undefined` when there is none. */
export function readGolden({ op }: CaseList, { name }: CaseOptions): Golden | undefined {
  const file = goldenFile(op, name);
  if (!existsSync(file)) return undefined;
  const tensors = [...readTensors(readFileSync(file))];
  const group = (prefix: string): [string, HostTensor][] =>
    tensors.flatMap(([key, value]) =>
      key.startsWith(`${prefix}.`) ? [[key.slice(prefix.length + 1), value]] : [],
    );
  const byPosition = (prefix: string) =>
    group(prefix).map(([key, value]) => [Number(key), value] as const);
  return {
    inputs: Object.fromEntries(group("in")),
    outputs: byPosition("out")
      .sort(([a], [b]) => a - b)
      .map(([, value]) => value),
    cotangents: new Map(byPosition("cotangent")),
    gradients: Object.fromEntries(group("grad")),
  };
}

const arrays = { F64: Float64Array, BF16: Uint16Array, I32: Int32Array, U8: Uint8Array } as const;
const dtypes = { F64: "float", BF16: "bfloat16", I32: "int32", U8: "uint8" } as const;

/** The safetensors format: length of the header, the header as JSON, the data. */
function* readTensors(file: Buffer): Iterable<[string, HostTensor]> {
  const begin = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, begin)) as Record<
    string,
    { dtype: keyof typeof arrays; shape: number[]; data_offsets: [number, number] }
  >;
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [from, to] = data_offsets;
    const bytes = Uint8Array.from(file.subarray(begin + from, begin + to));
    const raw = new arrays[dtype](bytes.buffer);
    const data = Float64Array.from(dtype === "BF16" ? fromBFloat16(raw) : raw);
    yield [name, { shape, data, dtype: dtypes[dtype] }];
  }
}
