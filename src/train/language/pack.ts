/**
 * Puts things into as few bins as first-fit-decreasing needs: the longest first, each into the first bin with room. That
 * is at most 11/9 of the fewest possible, and hardly more than those where many are short.
 *
 * @param lengths none above `capacity`
 * @returns indices of the things in each bin
 * @see Johnson, "Near-optimal bin packing algorithms", MIT 1973
 */
export function packFirstFitDecreasing(lengths: readonly number[], capacity: number): number[][] {
  const order = [...lengths.keys()].sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const bins: number[][] = [];
  const rooms: number[] = [];
  for (const index of order) {
    const length = lengths[index]!;
    const found = rooms.findIndex((room) => room >= length);
    const bin = found < 0 ? bins.push([]) - 1 : found;
    bins[bin]!.push(index);
    rooms[bin] = (rooms[bin] ?? capacity) - length;
  }
  return bins;
}
