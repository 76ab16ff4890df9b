/** Column i gives i below its threshold, and its alias from there on. */
export interface AliasTable {
  readonly thresholds: Float64Array;
  readonly aliases: Int32Array;
}

/**
 * For drawing an index in proportion to its weight in constant time: a column, evenly, then one of its two indices.
 *
 * @param weights from 0 on, not all 0
 * @see Vose, "A linear algorithm for generating random numbers with a given distribution", 1991
 */
export function aliasTable(weights: Float64Array): AliasTable {
  const mean = weights.reduce((sum, weight) => sum + weight, 0) / weights.length;
  const rest = weights.map((weight) => weight / mean);
  const thresholds = new Float64Array(weights.length).fill(1);
  const aliases = Int32Array.from(weights, (_, i) => i);
  const small: number[] = [];
  const large: number[] = [];
  rest.forEach((share, i) => {
    (share < 1 ? small : large).push(i);
  });
  while (small.length > 0 && large.length > 0) {
    const poor = small.pop()!;
    const rich = large.at(-1)!;
    thresholds[poor] = rest[poor]!;
    aliases[poor] = rich;
    rest[rich]! -= 1 - rest[poor]!;
    if (rest[rich]! < 1) small.push(large.pop()!);
  }
  return { thresholds, aliases };
}
