import type { Batch } from "../data/index.js";
import { ShapeError } from "../errors.js";
import type { ItemTable, UserEncoder } from "../models/index.js";
import type { Module } from "../nn/index.js";
import { matmulTopK, rankOfTargets, reshape } from "../ops/index.js";
import { closeScope, keep, openScope, tensorsIn, tidy } from "../tensor/memory.js";
import { formatShape, type Tensor, tensor } from "../tensor/tensor.js";
import { comesFirst, requireCount } from "./best-items.js";
import { rankByBestQuery } from "./rank-by-best-query.js";
import type { Ranks, Recommender, Seen, TopItems, TopItemsOptions } from "./ranker.js";

/** What {@link encoderRanker} is told. */
export interface EncoderRankerOptions {
  /** For tables and reports. Default: `encoder`. */
  name?: string | undefined;
}

/** A recommender that holds the encoder's items on the device until it is disposed. */
export interface EncoderRanker extends Recommender, Disposable {
  /** Frees the items, and puts the encoder back into training if it was. */
  dispose(): void;
}

/**
 * Ranks with a user encoder: its query against all items, fused, in the encoder's precision. Of several queries of a user
 * the one that likes an item best counts.
 *
 *     using ranker = encoderRanker(encoder);
 *     const result = await evaluateRanking(ranker, data, split);
 *
 * The items are computed once, here; the encoder stays in `eval()` until the ranker is disposed. Train it afterwards, or
 * the items are those of before.
 *
 * @throws ShapeError when queries and items do not go together
 */
export function encoderRanker(
  encoder: UserEncoder,
  options: EncoderRankerOptions = {},
): EncoderRanker {
  return new Ranking(encoder, options);
}

class Ranking implements EncoderRanker {
  readonly name: string;
  readonly features: readonly string[];
  readonly #encoder: UserEncoder;
  readonly #modes: ReadonlyMap<Module, boolean>;
  readonly #table: ItemTable;
  readonly #own: readonly Tensor[];

  constructor(encoder: UserEncoder, { name = "encoder" }: EncoderRankerOptions) {
    this.name = name;
    this.#encoder = encoder;
    this.features = encoder.features.map((feature) => feature.name);
    this.#modes = new Map(modesOf(encoder));
    encoder.eval();
    try {
      const { table, own } = ownTable(encoder);
      this.#table = table;
      this.#own = own;
    } catch (error) {
      this.#restore();
      throw error;
    }
  }

  get items(): number {
    return this.#table.weight.shape[0]!;
  }

  async rank(batch: Batch, targets: Int32Array, seen: Seen): Promise<Ranks> {
    const { weight, ...products } = this.#table;
    const ranks = tidy(() => {
      const query = this.#query(batch);
      if (query.rank === 3) return rankByBestQuery(query, this.#table, targets, seen);
      const wanted = tensor(targets);
      return {
        unmasked: rankOfTargets(query, weight, wanted, products),
        masked: rankOfTargets(query, weight, wanted, { ...products, excluded: listsOf(seen) }),
      };
    });
    return readAll(ranks);
  }

  async topItems(batch: Batch, count: number, { seen }: TopItemsOptions = {}): Promise<TopItems> {
    const kept = Math.min(requireCount(count), this.items);
    const { weight, ...products } = this.#table;
    const { queries, ...found } = tidy(() => {
      const query = this.#query(batch);
      const queries = query.rank === 3 ? query.shape[1]! : 1;
      const rows = reshape(query, [batch.size * queries, query.shape.at(-1)!]);
      const excluded = seen && listsOf(repeated(seen, queries));
      return { queries, ...matmulTopK(rows, weight, kept, { ...products, excluded }) };
    });
    try {
      const [values, items] = await Promise.all([found.values.data(), found.indices.data()]);
      return merge(values, items, batch.size, queries, kept);
    } finally {
      for (const made of tensorsIn(found)) made.dispose();
    }
  }

  dispose(): void {
    for (const made of this.#own) made.dispose();
    this.#restore();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #restore(): void {
    for (const [module, training] of this.#modes) module.training = training;
  }

  #query(batch: Batch): Tensor {
    const query = this.#encoder.query(batch);
    const { shape } = query;
    const width = this.#table.weight.shape[1]!;
    const fits = (shape.length === 2 || shape.length === 3) && shape[1] !== 0;
    if (fits && shape[0] === batch.size && shape.at(-1) === width) return query;
    throw new ShapeError(
      `${this.name}: query() must give [${batch.size}, ${width}] or [${batch.size}, k, ${width}] to go with ` +
        `itemTable(), got ${formatShape(shape)}`,
    );
  }
}

/** Modules of a model with whether they are training: parts may differ. */
function* modesOf(module: Module): Generator<[Module, boolean]> {
  yield [module, module.training];
  for (const child of module.children()) yield* modesOf(child);
}

/** The encoder's items, and those of their tensors that it made for us: a parameter stays the encoder's. */
function ownTable(encoder: UserEncoder): { table: ItemTable; own: readonly Tensor[] } {
  const scope = openScope();
  let made: readonly Tensor[] = [];
  let table: ItemTable | undefined;
  try {
    table = encoder.itemTable();
    made = [...scope];
  } finally {
    const returned = new Set(tensorsIn({ ...table }));
    closeScope(scope, returned);
    made = made.filter((tensor) => returned.has(tensor));
  }
  return { table, own: keep([...made]) };
}

const listsOf = ({ ids, offsets }: Seen) => ({ ids: tensor(ids), offsets: tensor(offsets) });

/** The list of each window several times, once for each of its queries. */
function repeated(seen: Seen, times: number): Seen {
  if (times === 1) return seen;
  const size = seen.offsets.length - 1;
  const offsets = new Int32Array(size * times + 1);
  const ids = new Int32Array(seen.ids.length * times);
  let end = 0;
  for (let row = 0; row < size * times; row++) {
    const list = Math.floor(row / times);
    ids.set(seen.ids.subarray(seen.offsets[list]!, seen.offsets[list + 1]!), end);
    end += seen.offsets[list + 1]! - seen.offsets[list]!;
    offsets[row + 1] = end;
  }
  return { ids, offsets };
}

async function readAll(ranks: { unmasked: Tensor; masked: Tensor }): Promise<Ranks> {
  try {
    const [unmasked, masked] = await Promise.all([
      ranks.unmasked.dataAs("int32"),
      ranks.masked.dataAs("int32"),
    ]);
    return { unmasked, masked };
  } finally {
    for (const tensor of tensorsIn(ranks)) tensor.dispose();
  }
}

/** The best items of each window among the best of its queries, where an item has its best score. */
function merge(
  values: ArrayLike<number>,
  indices: ArrayLike<number>,
  size: number,
  queries: number,
  count: number,
): TopItems {
  const items = new Int32Array(size * count).fill(-1);
  const scores = new Float64Array(size * count).fill(Number.NEGATIVE_INFINITY);
  for (let window = 0; window < size; window++) {
    const best = new Map<number, number>();
    const begin = window * queries * count;
    for (let at = begin; at < begin + queries * count; at++) {
      const item = indices[at]!;
      if (item < 0) continue;
      const score = best.get(item);
      if (score === undefined || comesFirst(values[at]!, item, score, item))
        best.set(item, values[at]!);
    }
    const order = [...best].sort(([a, x], [b, y]) => (comesFirst(x, a, y, b) ? -1 : 1));
    for (const [at, [item, score]] of order.slice(0, count).entries()) {
      items[window * count + at] = item;
      scores[window * count + at] = score;
    }
  }
  return { count, items, scores };
}
