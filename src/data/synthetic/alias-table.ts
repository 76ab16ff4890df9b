import type { RandomStream } from "./philox.js";

const two32 = 2 ** 32;

/**
 * Draws an index in proportion to its weight, in constant time.
 *
 * @see Vose, "A linear algorithm for generating random numbers with a given distribution", 1991
 */
export class AliasTable {
  /** Column i gives i below its threshold, and its alias from there on. */
  readonly #thresholds: Uint32Array;
  readonly #aliases: Int32Array;

  constructor(weights: Float64Array) {
    const count = weights.length;
    const mean = weights.reduce((sum, weight) => sum + weight, 0) / count;
    const rest = weights.map((weight) => weight / mean);
    this.#thresholds = new Uint32Array(count).fill(two32 - 1);
    this.#aliases = Int32Array.from(rest, (_, i) => i);
    const small: number[] = [];
    const large: number[] = [];
    for (let i = 0; i < count; i++) (rest[i]! < 1 ? small : large).push(i);
    while (small.length > 0 && large.length > 0) {
      const poor = small.pop()!;
      const rich = large.at(-1)!;
      this.#thresholds[poor] = Math.floor(rest[poor]! * two32);
      this.#aliases[poor] = rich;
      rest[rich]! -= 1 - rest[poor]!;
      if (rest[rich]! < 1) small.push(large.pop()!);
    }
  }

  draw(random: RandomStream): number {
    const column = random.below(this.#aliases.length);
    return random.word() < this.#thresholds[column]! ? column : this.#aliases[column]!;
  }
}
