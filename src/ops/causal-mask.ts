import { type Tensor, tensor } from "../tensor/tensor.js";

/** 1 where a query may see a key, itself or an earlier one: `[length, length]`, uint8. */
export function causalMask(length: number): Tensor {
  const mask = new Uint8Array(length * length);
  for (let query = 0; query < length; query++)
    mask.fill(1, query * length, query * length + query + 1);
  return tensor(mask, { shape: [length, length] });
}
