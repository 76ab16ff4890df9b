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
  const keys = [0, 1, 2].flatMap((block) => philox([block, stream], epoch, seed));

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

/** Four random words: Philox-4x32-10, as in `native/core/random.h`. */
function philox([low, high]: readonly [number, number], call: number, key: number): number[] {
  const word = (value: bigint): bigint => BigInt.asUintN(32, value);
  let counter = [BigInt(low), BigInt(high), word(BigInt(call)), BigInt(call) >> 32n] as const;
  let [key0, key1] = [word(BigInt(key)), BigInt(key) >> 32n];
  for (let round = 0; round < 10; round++) {
    const [c0, c1, c2, c3] = counter;
    const [p0, p1] = [0xd251_1f53n * c0, 0xcd9e_8d57n * c2];
    counter = [(p1 >> 32n) ^ c1 ^ key0, word(p1), (p0 >> 32n) ^ c3 ^ key1, word(p0)];
    key0 = word(key0 + 0x9e37_79b9n);
    key1 = word(key1 + 0xbb67_ae85n);
  }
  return counter.map(Number);
}
