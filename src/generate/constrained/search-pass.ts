/** One pass of the decoder for a step of several searches: prompts, and nodes of the trie. */

import type { Decoder } from "../../models/index.js";
import type { RowCache, RowGroup } from "../../nn/index.js";
import { concat, crossEntropy, embedding, gather, noGrad, reshape } from "../../ops/index.js";
import { type Tensor, tensor, tidy } from "../../tensor/index.js";
import type { BeforeLayer, SequenceStart } from "../decode-loop.js";
import type { Expansion } from "./string-search.js";
import type { TokenTrie } from "./token-trie.js";

/** Tokens that a pass computes for an expansion. */
export interface PassPart {
  readonly expansion: Expansion;
  /** What the cache does not have yet of the prompt; absent for nodes. */
  readonly prompt?: SequenceStart | undefined;
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

/** Tokens of what a sequence begins with, soft ones included. */
export const lengthOf = ({ ids, prefix }: SequenceStart): number =>
  (prefix?.shape[0] ?? 0) + ids.length;

/** Tokens that a part computes: the root's are the prompt's. */
export const tokensOf = ({ expansion: { nodes }, prompt }: PassPart): number =>
  nodes.length - Number(nodes[0] === 0) + (prompt ? lengthOf(prompt) : 0);

/**
 * Computes the tokens of all parts, and reads back the log-probabilities of their nodes' children and nothing else.
 *
 * @param beforeLayer is told which prompt each sequence belongs to: several may belong to the same
 */
export async function computePass(
  decoder: Decoder,
  cache: RowCache,
  trie: TokenTrie,
  parts: readonly PassPart[],
  beforeLayer?: BeforeLayer,
): Promise<PassResult> {
  const counts = parts.map(tokensOf);
  const wanted = new WantedChildren(trie, decoder.options.vocabulary);
  const firstNode: number[] = [];
  let tokens = 0;
  for (const [i, { expansion }] of parts.entries()) {
    const { nodes } = expansion;
    tokens += counts[i]!;
    firstNode.push(wanted.rows.length);
    for (const [k, node] of nodes.entries()) wanted.add(tokens - nodes.length + k, node);
  }
  const sequences = parts.map(({ expansion }) => expansion.search.prompt);
  const paths = parts.map(({ before }) => before);
  const firstRow = cache.continue(paths, counts, groupsOf(parts));
  using values = tidy(() =>
    noGrad(() => {
      const hidden = decoder.hidden(embeddingsOf(decoder, trie, parts), {
        counts,
        cache,
        beforeLayer: beforeLayer && ((x, layer) => beforeLayer(x, layer, { counts, sequences })),
      });
      return wanted.pick(decoder.logits(embedding(hidden, int32(wanted.rows))));
    }),
  );
  const read = wanted.reader(await values.data());
  return { firstRow, read: (part, node, child) => read(firstNode[part]! + node, child) };
}

/** Nodes of one search have its prompt in common. */
function groupsOf(parts: readonly PassPart[]): RowGroup[] {
  const groups: { sequences: number; rows: number }[] = [];
  for (const [i, { expansion, prompt }] of parts.entries()) {
    const { search } = expansion;
    const before = parts[i - 1];
    if (!prompt && before && !before.prompt && before.expansion.search === search)
      groups.at(-1)!.sequences++;
    else groups.push({ sequences: 1, rows: prompt ? 0 : search.promptLength });
  }
  return groups;
}

/** `[tokens, width]` of all parts. Tokens in a row are looked up together. */
function embeddingsOf(decoder: Decoder, trie: TokenTrie, parts: readonly PassPart[]): Tensor {
  const pieces: Tensor[] = [];
  let ids: number[] = [];
  const lookUp = (): void => {
    if (ids.length > 0) pieces.push(decoder.embed(int32(ids)));
    ids = [];
  };
  for (const { expansion, prompt } of parts) {
    if (prompt?.prefix) {
      lookUp();
      pieces.push(prompt.prefix);
    }
    ids.push(...(prompt?.ids ?? []));
    for (const node of expansion.nodes) if (node !== 0) ids.push(trie.tokens[node]!);
  }
  lookUp();
  return pieces.length === 1 ? pieces[0]! : concat(pieces);
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
