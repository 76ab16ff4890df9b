import { UsageError } from "../../errors.js";
import type { Frontier } from "./frontier.js";
import type { Exclusions, Goal } from "./goal.js";
import type { TokenTrie } from "./token-trie.js";

/** A node, or some that follow each other downwards, to be computed in one pass. */
export interface Expansion {
  readonly search: StringSearch;
  /** From 0, the root, which the prompt computes, or from a node that was reached. */
  readonly nodes: readonly number[];
  /** Log-probability up to and including the first node. */
  readonly score: number;
  /** Of the computed nodes; -1 for the prompt. */
  readonly parent: number;
}

/** Reads the log-probability of child `child` of node `node` of an expansion; both count from 0. */
export type ReadChild = (node: number, child: number) => number;

/** The search for strings behind one prompt. */
export class StringSearch {
  /** Passes that it took part in. */
  passes = 0;
  /** Rows of the prompt's tokens in the cache. */
  #promptRows: Int32Array = new Int32Array();
  /** Of each computed node: its row, -1 when that is not needed any more; and the node above. */
  readonly #rows: number[] = [];
  readonly #parents: number[] = [];
  #underWay = 0;
  #gaveUp = false;

  /**
   * @param prompt   its index
   * @param maxNodes that are computed, at most
   */
  constructor(
    readonly prompt: number,
    readonly trie: TokenTrie,
    readonly goal: Goal,
    readonly frontier: Frontier,
    readonly exclusions: Exclusions,
    readonly maxNodes: number,
  ) {}

  /** Nodes that were computed, without the prompt. */
  get expanded(): number {
    return this.#rows.length;
  }

  /** Whether nothing can change the result, or the search has been stopped. */
  get isDone(): boolean {
    if (this.#underWay > 0) return false;
    return this.goal.reached || this.#gaveUp || !this.#matters(this.frontier.best);
  }

  /** Whether no string that was not looked at could change the result. */
  get isExact(): boolean {
    const { best, lost } = this.frontier;
    return this.goal.reached || !this.#matters(Math.max(best, lost));
  }

  #matters(score: number): boolean {
    return score >= this.goal.bound && score > Number.NEGATIVE_INFINITY;
  }

  /** Tokens of the prompt. */
  get promptLength(): number {
    return this.#promptRows.length;
  }

  /** Ends with what has been found so far. */
  giveUp(): void {
    this.#gaveUp = true;
  }

  /** What the prompt's pass computes: the root, and the nodes of a string that is needed in any case. */
  begin(string?: number): Expansion {
    this.#underWay++;
    const path = string === undefined ? [] : this.trie.pathOf(string).slice(0, -1);
    return { search: this, nodes: [0, ...path], score: 0, parent: -1 };
  }

  /** The next nodes to compute, the best ones: `most` at most. */
  take(most: number): Expansion[] {
    const taken: Expansion[] = [];
    if (this.goal.reached) return taken;
    const { maxNodes } = this;
    while (taken.length < Math.min(most, maxNodes - this.expanded)) {
      const reached = this.#next();
      if (!reached) break;
      const { node, score, parent } = reached;
      taken.push({ search: this, nodes: [node], score, parent });
      this.#underWay++;
    }
    if (taken.length === 0 && this.#underWay === 0 && this.expanded >= maxNodes) this.giveUp();
    return taken;
  }

  #next() {
    const next = this.frontier.pop(this.goal.bound);
    if (next || this.#underWay > 0) return next;
    this.frontier.settle();
    return this.frontier.pop(this.goal.bound);
  }

  /** The rows that an expansion's first token sees, in their order. */
  rowsBefore({ parent }: Expansion): Int32Array {
    const above: number[] = [];
    for (let node = parent; node >= 0; node = this.#parents[node]!) above.push(this.#rows[node]!);
    const rows = new Int32Array(this.#promptRows.length + above.length);
    rows.set(this.#promptRows);
    for (const [i, row] of above.entries()) rows[rows.length - 1 - i] = row;
    return rows;
  }

  /** Says where the prompt's tokens lie, those that it shares with others included. */
  setPrompt(rows: Int32Array): void {
    this.#promptRows = rows;
  }

  /**
   * Takes in what a pass has computed.
   *
   * @param firstRow of the expansion's nodes in the cache, without the root
   * @throws UsageError when a log-probability is no number
   */
  accept(expansion: Expansion, firstRow: number, read: ReadChild): void {
    const { nodes } = expansion;
    let { score, parent } = expansion;
    let row = firstRow;
    this.#underWay--;
    for (const [i, node] of nodes.entries()) {
      if (node !== 0) {
        this.#rows.push(row++);
        this.#parents.push(parent);
        parent = this.#rows.length - 1;
      }
      score = this.#reachChildren(node, nodes[i + 1], score, parent, (child) => read(i, child));
    }
  }

  /** The score of child `next`, which has been computed too; the others wait. */
  #reachChildren(
    node: number,
    next: number | undefined,
    score: number,
    parent: number,
    read: (child: number) => number,
  ): number {
    const { trie, goal } = this;
    const first = trie.firstChild[node]!;
    const end = trie.firstChild[node + 1]!;
    let nextScore = Number.NEGATIVE_INFINITY;
    for (let child = first; child < end; child++) {
      // Rounding must not let a longer string gain on its beginning.
      const reached = score + Math.min(0, read(child - first));
      if (Number.isNaN(reached))
        throw new UsageError(
          `prompts[${this.prompt}]: the model's log-probabilities are not numbers`,
        );
      if (child === next) nextScore = reached;
      else if (trie.isLeaf(child)) goal.add(child, reached);
      else if (reached >= goal.bound && this.exclusions.count(child) > 0)
        this.frontier.push(reached, child, parent);
    }
    return nextScore;
  }

  /** Calls `keep` with the rows that are still needed, each once; the others are forgotten. */
  keepRows(keep: (row: number) => number): void {
    this.#promptRows = this.#promptRows.map(keep);
    const needed = new Uint8Array(this.#rows.length);
    for (const { score, parent } of this.frontier.entries())
      if (score >= this.goal.bound)
        for (let node = parent; node >= 0 && !needed[node]; node = this.#parents[node]!)
          needed[node] = 1;
    for (const [node, row] of this.#rows.entries())
      this.#rows[node] = needed[node] ? keep(row) : -1;
  }
}
