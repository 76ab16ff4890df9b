/** One pass of the decoder for a step of several searches: prompts, and nodes of the trie. */

import type { Decoder } from "../../models/index.js";
import type { RowCache } from "../../nn/index.js";
import { concat, crossEntropy, embedding, gather, noGrad, reshape } from "../../ops/index.js";
import { type Tensor, tensor, tidy } from "../../tensor/index.js";
import type { Expansion } from "./string-search.js";
import type { TokenTrie } from "./token-trie.js";

/** Which prompt each sequence of a pass belongs to, and how many of its tokens the pass computes. */
export interface PassSequences {
  /** Indices of prompts. */
  readonly prompts: readonly number[];
  readonly counts: readonly number[];
}

/** What goes into the decoder in other ways than tokens: user embeddings, for example. */
export interface RankingHooks {
  /**
   * The embeddings of prompts, one after the other, as many rows as they have ids: for prompts with soft tokens, whose
   * ids are then not looked at. Default: those of the ids.
   *
   * @param prompts their indices
   * @returns       `[tokens, width]`
   */
  readonly embedPrompts?: ((prompts: readonly number[]) => Tensor) | undefined;
  /**
   * As of `Decoder.hidden`: gives what goes into a layer in the place of `x`, the tokens of `sequences` one after the
   * other. A prompt's later tokens come in later passes, some of them side by side.
   */
  readonly beforeLayer?:
    | ((x: Tensor, layer: number, sequences: PassSequences) => Tensor)
    | undefined;
}

/** Tokens that a pass computes for an expansion. */
export interface PassPart {
  readonly expansion: Expansion;
  /** Of the prompt, what the cache does not have yet; empty for nodes. */
  readonly promptIds: Int32Array;
  /** Rows of earlier tokens. */
  readonly before: Int32Array;
}

/** Log-probabilities that a pass has computed. */
export interface PassResult {
  /** The row of the first token; the others follow. */
  readonly firstRow: number;
  /** Of child `child` of node `node` of part `part`; over the whole vocabulary. */
  read(part: number, node: number, child: number): number;
}

/** Ids of the tokens that a part computes: the root's are the prompt's. */
export function idsOf(
  { expansion: { nodes }, promptIds }: PassPart,
  { tokens }: TokenTrie,
): number[] {
  const ids = Array.from(promptIds);
  for (const node of nodes) if (node !== 0) ids.push(tokens[node]!);
  return ids;
}

/**
 * Computes the tokens of all parts, and reads back the log-probabilities of their nodes' children and nothing else.
 *
 * @param parts those with prompts first
 */
export async function computePass(
  decoder: Decoder,
  cache: RowCache,
  trie: TokenTrie,
  parts: readonly PassPart[],
  { embedPrompts, beforeLayer }: RankingHooks,
): Promise<PassResult> {
  const wanted = new WantedChildren(trie, decoder.options.vocabulary);
  const ids: number[] = [];
  const counts: number[] = [];
  for (const part of parts) {
    const own = idsOf(part, trie);
    const { nodes } = part.expansion;
    ids.push(...own);
    counts.push(own.length);
    for (const [i, node] of nodes.entries()) wanted.add(ids.length - nodes.length + i, node);
  }
  const prompts = parts.map(({ expansion }) => expansion.search.prompt);
  const firstRow = cache.continue(
    parts.map(({ before }) => before),
    counts,
  );
  using values = tidy(() =>
    noGrad(() => {
      const x = embedPrompts
        ? embedAll(decoder, parts, ids, counts, embedPrompts)
        : decoder.embed(int32(ids));
      const hidden = decoder.hidden(x, {
        counts,
        cache,
        ...(beforeLayer && {
          beforeLayer: (x: Tensor, layer: number) => beforeLayer(x, layer, { prompts, counts }),
        }),
      });
      return wanted.pick(decoder.logits(embedding(hidden, int32(wanted.rows))));
    }),
  );
  const read = wanted.reader(await values.data());
  const firstNode: number[] = [0];
  for (const { expansion } of parts) firstNode.push(firstNode.at(-1)! + expansion.nodes.length);
  return { firstRow, read: (part, node, child) => read(firstNode[part]! + node, child) };
}

/** The embeddings of all tokens, with those of prompts made by a hook. */
function embedAll(
  decoder: Decoder,
  parts: readonly PassPart[],
  ids: readonly number[],
  counts: readonly number[],
  embedPrompts: (prompts: readonly number[]) => Tensor,
): Tensor {
  const begun = parts.filter(({ promptIds }) => promptIds.length > 0);
  if (begun.length === 0) return decoder.embed(int32(ids));
  const given = embedPrompts(begun.map(({ expansion }) => expansion.search.prompt));
  // Rows of prompts are taken from what was given, the others from behind it.
  const order: number[] = [];
  const others: number[] = [];
  let row = 0;
  let id = 0;
  for (const [i, { promptIds }] of parts.entries()) {
    for (let k = 0; k < counts[i]!; k++, id++)
      if (k < promptIds.length) order.push(row++);
      else order.push(given.shape[0]! + others.push(ids[id]!) - 1);
  }
  if (others.length === 0) return given;
  return embedding(concat([given, decoder.embed(int32(others))]), int32(order));
}

/** The children whose log-probabilities a pass is for. */
class WantedChildren {
  /** Rows of hidden states, one for each node. */
  readonly rows: number[] = [];
  /** Tokens of the nodes' children, node after node. */
  readonly #tokens: number[] = [];
  readonly #first: number[] = [];

  constructor(
    readonly trie: TokenTrie,
    readonly vocabulary: number,
  ) {}

  add(row: number, node: number): void {
    const { firstChild, tokens } = this.trie;
    this.rows.push(row);
    this.#first.push(this.#tokens.length);
    const end = firstChild[node + 1]!;
    for (let child = firstChild[node]!; child < end; child++) this.#tokens.push(tokens[child]!);
  }

  /** `logits [nodes, vocabulary]` → the logits of all children, and the cross-entropy of each node's first child. */
  pick(logits: Tensor): Tensor {
    const { vocabulary } = this;
    const nodes = this.rows.length;
    const index = Int32Array.from(this.#tokens);
    for (let node = 0; node < nodes; node++) {
      const end = this.#first[node + 1] ?? index.length;
      for (let i = this.#first[node]!; i < end; i++) index[i]! += node * vocabulary;
    }
    const flat = reshape(logits, [nodes * vocabulary]);
    const targets = this.#first.map((first) => this.#tokens[first]!);
    const losses = crossEntropy(logits, int32(targets), { reduction: "none" });
    return concat([gather(flat, tensor(index), 0), losses]);
  }

  /** log p(child) = logit(child) - logit(first child) + log p(first child) */
  reader(values: ArrayLike<number>): (node: number, child: number) => number {
    const losses = this.#tokens.length;
    return (node, child) => {
      const first = this.#first[node]!;
      return values[first + child]! - values[first]! - values[losses + node]!;
    };
  }
}

const int32 = (values: readonly number[]): Tensor => tensor(Int32Array.from(values));
