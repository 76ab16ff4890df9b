import { DataError, UsageError } from "../../errors.js";
import type { LongCall } from "../../progress.js";
import { Turns } from "../../tokenizers/turns.js";

export interface TokenTrieOptions extends Pick<LongCall, "signal"> {
  /** The token that ends every string: a string that another one begins with then competes with it. */
  readonly end: number;
  /** What strings are called in errors. Default: `string 3`. */
  readonly name?: ((string: number) => string) | undefined;
}

/**
 * Strings of tokens as a tree: what they begin with alike is there once. The root stands before the first token; a leaf is
 * the end token of one string, or of several that are the same.
 *
 * Nodes are numbers, level by level from the root, 0, so that the children of a node follow each other; and below every
 * node lie neighbours of the sorted strings. 100,000 titles take some 10 MB.
 */
export class TokenTrie {
  /** @internal Use {@link TokenTrie.build}. */
  constructor(
    /** The token of leaves. */
    readonly end: number,
    /** Of each node; -1 of the root. */
    readonly tokens: Int32Array,
    /** `[nodes + 1]`: node n has the children `[firstChild[n], firstChild[n + 1])`. */
    readonly firstChild: Int32Array,
    /** Strings sorted by their tokens. */
    readonly sorted: Int32Array,
    /** `[nodes, 2]`: below node n lie the strings `sorted[spans[2n]]` to `sorted[spans[2n + 1] - 1]`. */
    readonly spans: Int32Array,
    /** Nodes from the root to the leaf of the longest string, without the root. */
    readonly depth: number,
  ) {
    this.#places = new Int32Array(sorted.length);
    for (const [place, string] of sorted.entries()) this.#places[string] = place;
  }

  readonly #places: Int32Array;

  /**
   * @param sequences tokens of each string, without the end token
   * @throws UsageError when there are none
   * @throws DataError when one is empty or has the end token in it
   */
  static async build(
    sequences: readonly Int32Array[],
    { end, name = (string) => `string ${string}`, signal }: TokenTrieOptions,
  ): Promise<TokenTrie> {
    if (sequences.length === 0) throw new UsageError("TokenTrie: there are no strings");
    if (!(Number.isSafeInteger(end) && end >= 0))
      throw new UsageError(`TokenTrie: end must be a token's id, got ${end}`);
    for (const [i, sequence] of sequences.entries()) {
      if (sequence.length === 0) throw new DataError(`TokenTrie: ${name(i)} has no tokens`);
      if (sequence.includes(end))
        throw new DataError(`TokenTrie: ${name(i)} has the end token ${end} in it`);
      const wrong = sequence.find((token) => token < 0);
      if (wrong !== undefined) throw new DataError(`TokenTrie: ${name(i)} has the token ${wrong}`);
    }
    return new Builder(sequences, end).build(new Turns(signal));
  }

  /** Of all strings, the same ones counted as often as they come. */
  get strings(): number {
    return this.sorted.length;
  }

  get nodes(): number {
    return this.tokens.length;
  }

  /** Of its arrays. */
  get bytes(): number {
    const { tokens, firstChild, sorted, spans } = this;
    return 4 * (tokens.length + firstChild.length + 2 * sorted.length + spans.length);
  }

  isLeaf(node: number): boolean {
    return this.tokens[node] === this.end;
  }

  /** Where a string stands among the sorted ones. */
  placeOf(string: number): number {
    return this.#places[string]!;
  }

  /** Whether a string's leaf is the node, or below it. */
  isBelow(node: number, string: number): boolean {
    const place = this.#places[string]!;
    return this.spans[2 * node]! <= place && place < this.spans[2 * node + 1]!;
  }

  /** The nodes of a string from the root, which is not among them, to its leaf. */
  pathOf(string: number): number[] {
    const path: number[] = [];
    for (let node = 0; !this.isLeaf(node); path.push(node)) node = this.#childTowards(node, string);
    return path;
  }

  #childTowards(node: number, string: number): number {
    const place = this.#places[string]!;
    let first = this.firstChild[node]!;
    let end = this.firstChild[node + 1]!;
    while (end - first > 1) {
      const middle = (first + end) >> 1;
      if (this.spans[2 * middle]! <= place) first = middle;
      else end = middle;
    }
    return first;
  }
}

/** Makes nodes level by level: the strings below a node, sorted by the token that comes next, are its children. */
class Builder {
  readonly #sorted: Int32Array;
  readonly #keys: Float64Array;
  readonly #tokens: Int32Array;
  readonly #spans: Int32Array;
  #nodes = 0;

  constructor(
    readonly sequences: readonly Int32Array[],
    readonly end: number,
  ) {
    const most = sequences.reduce((sum, { length }) => sum + length + 1, 1);
    this.#sorted = Int32Array.from(sequences.keys());
    this.#keys = new Float64Array(sequences.length);
    this.#tokens = new Int32Array(most);
    this.#spans = new Int32Array(2 * most);
  }

  async build(turns: Turns): Promise<TokenTrie> {
    const firstChild = new Int32Array(this.#tokens.length + 1);
    this.#add(-1, 0, this.sequences.length);
    let depth = -1;
    let level = 0;
    for (let node = 0; node < this.#nodes; node++) {
      if (node === level) {
        depth++;
        level = this.#nodes;
      }
      firstChild[node] = this.#nodes;
      if (this.#tokens[node] !== this.end) this.#addChildren(node, depth);
      if (turns.over) await turns.next();
    }
    const nodes = this.#nodes;
    firstChild[nodes] = nodes;
    return new TokenTrie(
      this.end,
      this.#tokens.slice(0, nodes),
      firstChild.slice(0, nodes + 1),
      this.#sorted,
      this.#spans.slice(0, 2 * nodes),
      depth,
    );
  }

  #add(token: number, from: number, to: number): void {
    this.#tokens[this.#nodes] = token;
    this.#spans[2 * this.#nodes] = from;
    this.#spans[2 * this.#nodes + 1] = to;
    this.#nodes++;
  }

  #addChildren(node: number, depth: number): void {
    const from = this.#spans[2 * node]!;
    const to = this.#spans[2 * node + 1]!;
    const next = (place: number): number => this.sequences[this.#sorted[place]!]![depth] ?? -1;
    if (to - from > 1) this.#sort(from, to, next);
    for (let begin = from; begin < to; ) {
      const token = next(begin);
      let past = begin + 1;
      while (past < to && next(past) === token) past++;
      this.#add(token < 0 ? this.end : token, begin, past);
      begin = past;
    }
  }

  /** By token, ended strings first; then by string. As whole numbers, which sort natively. */
  #sort(from: number, to: number, next: (place: number) => number): void {
    const count = this.sequences.length;
    const keys = this.#keys.subarray(from, to);
    for (let i = from; i < to; i++) keys[i - from] = (next(i) + 1) * count + this.#sorted[i]!;
    keys.sort();
    for (let i = from; i < to; i++) this.#sorted[i] = keys[i - from]! % count;
  }
}
