import type { Tensor, TensorData } from "../tensor/index.js";

/** Waits for tensors, copies what they hold, and disposes them. */
export async function readAll<Name extends string>(
  tensors: Readonly<Partial<Record<Name, Tensor>>>,
): Promise<Partial<Record<Name, TensorData>>> {
  const entries = Object.entries(tensors) as [Name, Tensor][];
  try {
    const read = await Promise.all(entries.map(async ([name, each]) => [name, await each.data()]));
    return Object.fromEntries(read) as Partial<Record<Name, TensorData>>;
  } finally {
    for (const [, each] of entries) each.dispose();
  }
}
