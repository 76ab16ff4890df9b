/** Attention from separate ops, as one would write it from the definition: what the fused layers must equal. */
import {
  concat,
  matmul,
  multiply,
  reshape,
  softmax,
  split,
  type Tensor,
  tanh,
  tensor,
  transpose,
  where,
} from "../../src/index.js";

export interface ComposedAttention {
  scale: number;
  softCap?: number;
  /** Which key each query sees. */
  sees(sequence: number, query: number, key: number): boolean;
}

/** `query [batch, queries, heads, width]`, `key` and `value [batch, keys, kvHeads, width]`; every query sees a key. */
export function composedAttention(
  query: Tensor,
  key: Tensor,
  value: Tensor,
  { scale, softCap, sees }: ComposedAttention,
): Tensor {
  const [batch, queries, heads, width] = query.shape as [number, number, number, number];
  const [, keys, kvHeads] = key.shape as [number, number, number, number];
  const perHead = (x: Tensor): Tensor => transpose(x, [0, 2, 1, 3]);
  // A head of keys serves its group of query heads.
  const shared = (x: Tensor): Tensor => {
    const parts = split(perHead(x), new Array(kvHeads).fill(1), 1);
    return concat(
      parts.flatMap((part) => new Array<Tensor>(heads / kvHeads).fill(part)),
      1,
    );
  };
  let scores = matmul(perHead(query), shared(key), { transposeB: true, scale });
  if (softCap) scores = multiply(tanh(multiply(scores, 1 / softCap)), softCap);
  const mask = new Uint8Array(batch * queries * keys);
  for (let b = 0; b < batch; b++)
    for (let i = 0; i < queries; i++)
      for (let j = 0; j < keys; j++) mask[(b * queries + i) * keys + j] = Number(sees(b, i, j));
  const visible = reshape(tensor(mask), [batch, 1, queries, keys]);
  const probabilities = softmax(where(visible, scores, -Infinity));
  const attended = transpose(matmul(probabilities, shared(value)), [0, 2, 1, 3]);
  return reshape(attended, [batch, queries, heads * width]);
}
