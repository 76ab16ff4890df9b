import { UsageError } from "../../errors.js";
import type { Decoder } from "../../models/index.js";
import type { RowCache } from "../../nn/index.js";
import { noGrad } from "../../ops/index.js";
import type { LongCall } from "../../progress.js";
import { tensor, tidy } from "../../tensor/index.js";
import type { BeforeLayer, SequenceStart } from "../decode-loop.js";
import { computePass, lengthOf, type PassPart, tokensOf } from "./search-pass.js";
import type { StringSearch } from "./string-search.js";
import type { TokenTrie } from "./token-trie.js";

/** How searches share the decoder. None of this changes what they find. */
export interface SearchSizes extends LongCall {
  /** Prompts that are searched at a time: few, as nodes of one prompt read its keys together. Default: 8. */
  readonly promptsAtOnce?: number | undefined;
  /** Nodes of the trie that a pass computes at most. Default: 128. */
  readonly nodesAtOnce?: number | undefined;
  /**
   * Bytes of keys and values at most. A search for which there is no room left begins again later; one that alone has no
   * room ends, and is not exact. Default: 1 GiB.
   */
  readonly maxBytes?: number | undefined;
  /**
   * Layers between those of the decoder, for user embeddings for example: what goes into `layer`, `x [tokens, width]`, →
   * what goes in instead. It is told which prompt each sequence is of; of one prompt there may be several, or none.
   */
  readonly beforeLayer?: BeforeLayer | undefined;
}

export interface SearchPlan extends SearchSizes {
  /** What progress is called. */
  readonly task: string;
  /** A new search, of which nothing is known yet. */
  readonly search: (prompt: number) => StringSearch;
  /** A string of each prompt's that is computed with the prompt. */
  readonly targets?: readonly number[] | undefined;
}

/** Tokens of prompts in one pass, beyond which the other prompts wait. */
const promptTokensAtOnce = 2048;

/** Rows that there is room for at first; those that nothing needs are dropped before there are more. */
const firstRows = 4096;

/**
 * Runs a search for each prompt, many of them at a time, until each is done.
 *
 * @throws UsageError when a prompt is empty, or has no room with a string behind it
 */
export async function runSearches(
  decoder: Decoder,
  prompts: readonly SequenceStart[],
  trie: TokenTrie,
  plan: SearchPlan,
): Promise<StringSearch[]> {
  using run = new Run(decoder, prompts, trie, plan);
  return await run.finish();
}

class Run implements Disposable {
  readonly #cache: RowCache;
  readonly #maxRows: number;
  readonly #nodesAtOnce: number;
  /** Rows of what all prompts begin with. */
  #shared: Int32Array = new Int32Array();
  #promptsAtOnce: number;
  /** Rows at which those that are not needed are dropped. */
  #tidyAt = firstRows;
  /** Rows that were left the last time; 0 when a search has ended since. */
  #tidied = 0;
  #active: StringSearch[] = [];
  readonly #waiting: number[];
  readonly #done: StringSearch[] = [];

  constructor(
    readonly decoder: Decoder,
    readonly prompts: readonly SequenceStart[],
    readonly trie: TokenTrie,
    readonly plan: SearchPlan,
  ) {
    const { promptsAtOnce = 8, nodesAtOnce = 128, maxBytes = 2 ** 30 } = plan;
    for (const [name, value] of Object.entries({ promptsAtOnce, nodesAtOnce, maxBytes }))
      if (!(Number.isSafeInteger(value) && value >= 1))
        throw new UsageError(`${name} must be a whole number from 1, got ${value}`);
    this.#promptsAtOnce = promptsAtOnce;
    this.#nodesAtOnce = nodesAtOnce;
    this.#waiting = Array.from(prompts.keys()).reverse();
    this.#cache = decoder.newRowCache({ capacity: firstRows, maxBytes });
    this.#maxRows = this.#cache.maxRows;
    this.#requireFit();
  }

  async finish(): Promise<StringSearch[]> {
    const { task, signal, onProgress } = this.plan;
    this.#computeShared();
    const total = this.prompts.length;
    for (let done = 0; done < total; ) {
      signal?.throwIfAborted();
      await this.#step();
      const before = done;
      for (const search of this.#active.filter((search) => search.isDone)) {
        this.#end(search);
        this.#done[search.prompt] = search;
        done++;
      }
      if (done > before) onProgress?.({ task, done, total, unit: "rows" });
    }
    return this.#done;
  }

  [Symbol.dispose](): void {
    this.#cache.dispose();
  }

  /** The keys and values of what all prompts begin with; each keeps a token of its own. */
  #computeShared(): void {
    const { prompts, decoder } = this;
    if (prompts.length < 2 || this.plan.beforeLayer) return;
    const first = prompts[0]!.ids;
    let length = first.length - 1;
    for (const { ids, prefix } of prompts) length = prefix ? 0 : Math.min(length, ids.length - 1);
    for (const { ids } of prompts)
      for (let i = 0; i < length; i++) if (ids[i] !== first[i]) length = i;
    if (length === 0) return;
    this.#cache.continue([new Int32Array()], [length]);
    const ids = first.slice(0, length);
    tidy(() => {
      noGrad(() =>
        decoder.hidden(decoder.embed(tensor(ids)), { counts: [length], cache: this.#cache }),
      );
    });
    this.#shared = Int32Array.from(ids.keys());
  }

  #end(search: StringSearch): void {
    this.#active.splice(this.#active.indexOf(search), 1);
    this.#tidied = 0;
  }

  /** Computes what the searches need next. */
  async #step(): Promise<void> {
    const others = [...this.#active];
    const parts = this.#begin();
    const promptTokens = sum(parts.map(tokensOf));
    const roomForNodes = () => this.#room(promptTokens + this.#nodesAtOnce) - promptTokens;
    let left = Math.min(this.#nodesAtOnce, roomForNodes());
    while (left < others.length && left < this.#nodesAtOnce && others.length > 1) {
      this.#setBack(others.pop()!);
      left = Math.min(this.#nodesAtOnce, roomForNodes());
    }
    if (left < 1 && parts.length === 0) others[0]?.giveUp();
    for (const [i, search] of others.entries()) {
      if (left < 1) break;
      for (const expansion of search.take(Math.max(1, Math.floor(left / (others.length - i))))) {
        left -= expansion.nodes.length;
        parts.push({ expansion, before: search.rowsBefore(expansion) });
      }
    }
    if (parts.length > 0) await this.#compute(parts);
  }

  /** Forgets a search that there is no room for. It begins again when others are done. */
  #setBack(search: StringSearch): void {
    this.#end(search);
    this.#waiting.push(search.prompt);
    this.#promptsAtOnce = this.#active.length;
  }

  async #compute(parts: readonly PassPart[]): Promise<void> {
    const { decoder, trie } = this;
    const { beforeLayer } = this.plan;
    const { firstRow, read } = await computePass(decoder, this.#cache, trie, parts, beforeLayer);
    let row = firstRow;
    for (const [i, part] of parts.entries()) {
      const { expansion, prompt, before } = part;
      const own = prompt ? lengthOf(prompt) : 0;
      if (prompt) {
        const rows = new Int32Array(before.length + own);
        rows.set(before);
        for (let k = 0; k < own; k++) rows[before.length + k] = row + k;
        expansion.search.setPrompt(rows);
      }
      expansion.search.accept(expansion, row + own, (node, child) => read(i, node, child));
      row += tokensOf(part);
    }
    for (const search of new Set(parts.map(({ expansion }) => expansion.search))) search.passes++;
  }

  /** Begins searches of prompts that wait, as far as there is room. */
  #begin(): PassPart[] {
    const parts: PassPart[] = [];
    let tokens = 0;
    while (this.#waiting.length > 0 && this.#active.length < this.#promptsAtOnce) {
      const prompt = this.#waiting.at(-1)!;
      const { ids, prefix } = this.prompts[prompt]!;
      const start = { ids: ids.subarray(this.#shared.length), prefix };
      if (parts.length > 0 && tokens + lengthOf(start) > promptTokensAtOnce) break;
      const needed = tokens + lengthOf(start) + this.trie.depth;
      if (this.#room(needed) < needed) break;
      const search = this.plan.search(prompt);
      const expansion = search.begin(this.plan.targets?.[prompt]);
      const part = { expansion, prompt: start, before: this.#shared };
      tokens += tokensOf(part);
      parts.push(part);
      this.#active.push(search);
      this.#waiting.pop();
    }
    return parts;
  }

  /** Rows that are left, once those are dropped that nothing needs, if it pays. */
  #room(needed: number): number {
    const { rows } = this.#cache;
    const limit = Math.min(this.#tidyAt, this.#maxRows);
    if (rows + needed > limit && rows > 1.1 * this.#tidied) {
      const kept = new KeptRows(rows);
      this.#shared = this.#shared.map((row) => kept.keep(row));
      for (const search of this.#active) search.keepRows((row) => kept.keep(row));
      this.#cache.select(Int32Array.from(kept.rows));
      this.#tidied = this.#cache.rows;
      this.#tidyAt = Math.max(this.#tidyAt, 2 * this.#tidied);
    }
    return this.#maxRows - this.#cache.rows;
  }

  #requireFit(): void {
    const { decoder, prompts, trie } = this;
    const { vocabulary, positions, maxPositions } = decoder.options;
    const largest = trie.tokens.reduce((a, b) => Math.max(a, b), trie.end);
    if (largest >= vocabulary)
      throw new UsageError(
        `the trie has the token ${largest}, but the model has ${vocabulary}: it needs the model's own tokenizer`,
      );
    const most = positions === "learned" ? maxPositions : Number.POSITIVE_INFINITY;
    for (const [i, prompt] of prompts.entries()) {
      if (lengthOf(prompt) === 0) throw new UsageError(`prompts[${i}] has no tokens`);
      const wrong = prompt.ids.find((id) => !(id >= 0 && id < vocabulary));
      if (wrong !== undefined)
        throw new UsageError(`prompts[${i}] has the token ${wrong}, which the model has not`);
      const tokens = lengthOf(prompt) + trie.depth - 1;
      if (tokens > most)
        throw new UsageError(
          `prompts[${i}] and the longest string have ${tokens} tokens, more than the ${most} positions of the model`,
        );
      if (tokens + 1 > this.#maxRows)
        throw new UsageError(
          `maxBytes ${this.plan.maxBytes} has room for ${this.#maxRows} tokens, but prompts[${i}] and the longest string have ${tokens}`,
        );
    }
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

/** Rows that stay, renumbered in the order in which they are kept. */
class KeptRows {
  readonly rows: number[] = [];
  readonly #places: Int32Array;

  constructor(before: number) {
    this.#places = new Int32Array(before).fill(-1);
  }

  /** The row's new number. */
  keep(row: number): number {
    if (this.#places[row]! < 0) this.#places[row] = this.rows.push(row) - 1;
    return this.#places[row]!;
  }
}
