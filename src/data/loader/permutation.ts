import { philox } from "../synthetic/philox.js";

const two32 = 2 ** 32;
const rounds = 12;
/** Apart from what the same seed draws for dropout and initial weights. */
const stream = 0x6f72_6465;

/**
 * A random order of `0 ... count - 1` without an array: the function gives the element at each index, and every element
 * comes once. Equal arguments give the same order on every machine and in every version.
 *
 * A Feistel network scrambles the next power of two; what falls outside the range is scrambled again, which leads back
 * into it. The loader's thread computes the same in C++ (`native/data/permutation.h`); this is the form to read.
 *
 * @param count at most 2⁵³
 * @see Black & Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002
 */
export function permutation(count: number, seed: number, epoch = 0): (index: number) => number {
  let bits = 1;
  while (2 ** bits < count) bits++;
  const rightBits = bits >> 1;
  const rightSize = 2 ** rightBits;
  const leftMask = 2 ** (bits - rightBits) - 1;
  const keys = roundKeys(seed, epoch);

  const scramble = (value: number): number => {
    let right = value % rightSize;
    let left = (value - right) / rightSize;
    for (let round = 0; round < rounds; round += 2) {
      left ^= mix(right + keys[round]!) & leftMask;
      right ^= mix(left + keys[round + 1]!) & (rightSize - 1);
    }
    return left * rightSize + right;
  };

  return (index) => {
    let value = index;
    do value = scramble(value);
    while (value >= count);
    return value;
  };
}

/** The finalizer of MurmurHash3. */
function mix(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return hash ^ (hash >>> 16);
}

/** Words of the generator whose counter holds the epoch and whose key is the seed: `native/core/random.h`. */
function roundKeys(seed: number, epoch: number): Uint32Array {
  const keys = new Uint32Array(rounds);
  const [epochLow, epochHigh] = [epoch >>> 0, Math.floor(epoch / two32)];
  for (let block = 0; 4 * block < rounds; block++) {
    const words = keys.subarray(4 * block, 4 * block + 4);
    philox([block, stream, epochLow, epochHigh], [seed >>> 0, Math.floor(seed / two32)], words);
  }
  return keys;
}
