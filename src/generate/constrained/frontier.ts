import { NodeHeap, type ReachedNode } from "./node-heap.js";

/** The nodes that a search has reached and not computed yet, and which of them comes next. */
export interface Frontier {
  push(score: number, node: number, parent: number): void;
  /** Takes the next node whose score is not below `bound`. */
  pop(bound: number): ReachedNode | undefined;
  /** Called when everything that was taken has been computed, and nothing is left to take. */
  settle(): void;
  /** Those that may still be taken. */
  entries(): Iterable<ReachedNode>;
  /** The best score of those; -∞ when there are none. */
  readonly best: number;
  /** The best score of those that were given up. */
  readonly lost: number;
}

/** The best node first, wherever it stands: exact, because the score of a string is at most that of its beginning. */
export class BestFirst implements Frontier {
  readonly #heap = new NodeHeap();

  push(score: number, node: number, parent: number): void {
    this.#heap.push(score, node, parent);
  }

  pop(bound: number): ReachedNode | undefined {
    return this.#heap.bestScore >= bound ? this.#heap.pop() : undefined;
  }

  settle(): void {}

  entries(): Iterable<ReachedNode> {
    return this.#heap.entries();
  }

  get best(): number {
    return this.#heap.bestScore;
  }

  readonly lost = Number.NEGATIVE_INFINITY;
}

/** Level by level, and of each level the best nodes only. */
export class Beams implements Frontier {
  #level = new NodeHeap();
  #next = new NodeHeap();
  #lost = Number.NEGATIVE_INFINITY;

  /** @param most nodes of a level */
  constructor(readonly most: number) {}

  push(score: number, node: number, parent: number): void {
    this.#next.push(score, node, parent);
  }

  pop(bound: number): ReachedNode | undefined {
    return this.#level.bestScore >= bound ? this.#level.pop() : undefined;
  }

  settle(): void {
    const next = this.#next;
    this.#level = new NodeHeap();
    this.#next = new NodeHeap();
    while (this.#level.size < this.most) {
      const best = next.pop();
      if (!best) break;
      this.#level.push(best.score, best.node, best.parent);
    }
    this.#lost = Math.max(this.#lost, next.bestScore);
  }

  *entries(): Iterable<ReachedNode> {
    yield* this.#level.entries();
    yield* this.#next.entries();
  }

  get best(): number {
    return Math.max(this.#level.bestScore, this.#next.bestScore);
  }

  get lost(): number {
    return this.#lost;
  }
}
