/** A node of the trie that one search has reached: some of the tokens of one or more strings. */
export interface ReachedNode {
  /** Log-probability of the tokens up to and including the node's. */
  readonly score: number;
  readonly node: number;
  /** Of the computed nodes, the one it is a child of; -1 for the prompt. */
  readonly parent: number;
}

/** Nodes by score, the best first; of equal ones the one that comes first in the trie. */
export class NodeHeap {
  readonly #scores: number[] = [];
  readonly #nodes: number[] = [];
  readonly #parents: number[] = [];

  get size(): number {
    return this.#scores.length;
  }

  /** -∞ when there are none. */
  get bestScore(): number {
    return this.#scores[0] ?? Number.NEGATIVE_INFINITY;
  }

  push(score: number, node: number, parent: number): void {
    let at = this.#scores.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!this.#isAfter(above, score, node)) break;
      this.#move(above, at);
      at = above;
    }
    this.#put(at, score, node, parent);
  }

  pop(): ReachedNode | undefined {
    const size = this.#scores.length;
    if (size === 0) return undefined;
    const best = this.#at(0);
    const last = this.#at(size - 1);
    this.#scores.pop();
    this.#nodes.pop();
    this.#parents.pop();
    if (size > 1) this.#sink(last);
    return best;
  }

  /** In no order. */
  *entries(): Iterable<ReachedNode> {
    for (let i = 0; i < this.size; i++) yield this.#at(i);
  }

  /** Puts what was last at the top, and down to where it belongs. */
  #sink({ score, node, parent }: ReachedNode): void {
    const size = this.size;
    let at = 0;
    for (let below = 1; below < size; below = 2 * at + 1) {
      const other = below + 1;
      if (other < size && this.#isAfter(below, this.#scores[other]!, this.#nodes[other]!))
        below = other;
      if (this.#isAfter(below, score, node)) break;
      this.#move(below, at);
      at = below;
    }
    this.#put(at, score, node, parent);
  }

  /** Whether the entry at a place comes after one of this score and node. */
  #isAfter(place: number, score: number, node: number): boolean {
    const own = this.#scores[place]!;
    return own < score || (own === score && this.#nodes[place]! > node);
  }

  #at(place: number): ReachedNode {
    return {
      score: this.#scores[place]!,
      node: this.#nodes[place]!,
      parent: this.#parents[place]!,
    };
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#scores[from]!, this.#nodes[from]!, this.#parents[from]!);
  }

  #put(place: number, score: number, node: number, parent: number): void {
    this.#scores[place] = score;
    this.#nodes[place] = node;
    this.#parents[place] = parent;
  }
}
