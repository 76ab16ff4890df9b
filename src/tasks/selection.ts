const blockBits = 1 << 12;

/** Some of the numbers `0 ... size - 1`, found by their rank: a bit for each number. */
export class Selection {
  readonly #bits: Uint32Array;
  /** How many were selected before each block. */
  readonly #before: number[] = [];
  #last = -1;
  #count = 0;

  constructor(readonly size: number) {
    this.#bits = new Uint32Array(Math.ceil(size / 32));
  }

  /** How many are selected. */
  get count(): number {
    return this.#count;
  }

  /** Selects a number greater than those before. */
  add(number: number): void {
    if (number <= this.#last || number >= this.size) throw new RangeError("numbers must rise");
    while (this.#before.length <= Math.floor(number / blockBits)) this.#before.push(this.#count);
    const word = Math.floor(number / 32);
    this.#bits[word] = this.#bits[word]! | (1 << (number % 32));
    this.#last = number;
    this.#count++;
  }

  /** The number that `rank` selected ones come before. */
  at(rank: number): number {
    let low = 0;
    let high = this.#before.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#before[middle]! <= rank) low = middle;
      else high = middle - 1;
    }
    let left = rank - this.#before[low]!;
    for (let word = (low * blockBits) / 32; ; word++) {
      const bits = this.#bits[word]!;
      const count = countOnes(bits);
      if (left < count) return 32 * word + placeOfOne(bits, left);
      left -= count;
    }
  }
}

function countOnes(bits: number): number {
  let sum = bits - ((bits >>> 1) & 0x55555555);
  sum = (sum & 0x33333333) + ((sum >>> 2) & 0x33333333);
  return Math.imul((sum + (sum >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Where the one is that `rank` others come before. */
function placeOfOne(bits: number, rank: number): number {
  let rest = bits;
  for (let i = 0; i < rank; i++) rest &= rest - 1;
  return 31 - Math.clz32(rest & -rest);
}
