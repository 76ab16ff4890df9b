const two16 = 0x1_0000;
const two32 = 0x1_0000_0000;

/**
 * Random numbers that are a function of seed, purpose, stream and place alone: Philox-4x32-10. Nothing but whole numbers
 * goes into them, so that they are the same on every machine.
 *
 * @see Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011
 */
export class RandomStream {
  readonly #words = new Uint32Array(4);
  #left = 0;
  #block = 0;
  #stream: number;

  /**
   * @param seed    a whole number from 0 to 2^53 - 1
   * @param purpose what the numbers are for; others have nothing to do with them
   * @param stream  one of 2^32 sequences for that purpose
   */
  constructor(
    readonly seed: number,
    readonly purpose: number,
    stream = 0,
  ) {
    this.#stream = stream;
  }

  /** Goes to the beginning of another sequence. */
  restart(stream: number): void {
    this.#stream = stream;
    this.#block = 0;
    this.#left = 0;
  }

  /** A whole number from 0 to 2^32 - 1. */
  word(): number {
    if (this.#left === 0) {
      philox(
        [this.#block++, this.#stream, this.purpose, 0],
        [this.seed >>> 0, Math.floor(this.seed / two32)],
        this.#words,
      );
      this.#left = 4;
    }
    return this.#words[4 - this.#left--]!;
  }

  /** From 0 up to, not including, 1; a multiple of 2^-32. */
  unit(): number {
    return this.word() / two32;
  }

  /** A whole number below `count`, which is at most 2^21. */
  below(count: number): number {
    return Math.floor((this.word() * count) / two32);
  }

  /** One of a list. */
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** Index i with probability `shares[i]`; shares add up to 1. */
  draw(shares: ArrayLike<number>): number {
    let rest = this.unit();
    const last = shares.length - 1;
    for (let i = 0; i < last; i++) {
      rest -= shares[i]!;
      if (rest < 0) return i;
    }
    return last;
  }
}

/** One block: four words of a counter of four words and a key of two. */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
  words: Uint32Array,
): void {
  let [x0, x1, x2, x3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = highOfProduct(x0 >>> 0, 0xd251, 0x1f53);
    const high1 = highOfProduct(x2 >>> 0, 0xcd9e, 0x8d57);
    const low0 = Math.imul(x0, 0xd2511f53);
    const low1 = Math.imul(x2, 0xcd9e8d57);
    x0 = high1 ^ x1 ^ k0;
    x1 = low1;
    x2 = high0 ^ x3 ^ k1;
    x3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  words[0] = x0;
  words[1] = x1;
  words[2] = x2;
  words[3] = x3;
}

/** Upper 32 bits of `a · b`, where b comes as two halves of 16 bits: every product fits a double. */
function highOfProduct(a: number, bHigh: number, bLow: number): number {
  return Math.floor((a * bHigh + Math.floor((a * bLow) / two16)) / two16) | 0;
}
