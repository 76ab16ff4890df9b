import { setImmediate } from "node:timers/promises";
import { DataError } from "../../errors.js";
import type { ReaderOptions, Row, RowReader } from "../formats/row.js";
import { type ValueColumn, ValueRow } from "../formats/value-row.js";
import type { Source } from "../source.js";
import { genresOf } from "./catalogue.js";
import { Histories, type History } from "./histories.js";
import { type SyntheticModel, syntheticModel } from "./model.js";
import { resolveSynthetic, type SyntheticOptions } from "./options.js";
import { syntheticOrigin } from "./origin.js";
import { Reviewer } from "./reviews.js";

const rowsBetweenPauses = 2048;

/**
 * Invented users, items, ratings and reviews as a dataset, ready for `prepare`. The same options give the same rows on
 * every machine. What the best ranking of the next item would score is known, see `bayesRanking`.
 *
 *     await prepare(synthetic({ preset: "small", seed: 7 }), { out: "prepared" });
 *
 * @throws ConfigError for an option that is out of range
 * @see docs/synthetic-data.md
 */
export function synthetic(options: SyntheticOptions = {}): Source {
  const parameters = resolveSynthetic(options);
  let made: Promise<SyntheticModel> | undefined;
  const model = (): Promise<SyntheticModel> => (made ??= syntheticModel(parameters));
  return {
    ...syntheticOrigin(parameters),
    catalogue: "all",
    events: {
      mapping: {
        user: "user",
        item: "item",
        time: { column: "time", unit: "seconds" },
        features: {
          rating: { kind: "ordinal", column: "rating", min: 0.5, max: 5 },
          review: { kind: "text", column: "review" },
        },
      },
      open: async (reading) => eventReader(await model(), reading),
    },
    items: {
      mapping: {
        id: "item",
        title: "title",
        features: { genres: { kind: "bag", column: "genres" } },
      },
      open: async (reading) => itemReader(await model(), reading),
    },
  };
}

function eventReader(model: SyntheticModel, options: ReaderOptions): RowReader {
  const histories = new Histories(model);
  const reviewer = new Reviewer(model);
  let history: History;
  let reviews: string[];
  const columns: ValueColumn[] = [
    { name: "user", get: () => String(history.user + 1) },
    { name: "item", get: (t) => String(history.items[t]! + 1) },
    { name: "time", get: (t) => history.seconds[t] },
    { name: "rating", get: (t) => (history.levels[t]! + 1) / 2 },
    { name: "review", get: (t) => reviews[t] },
  ];
  function* blocks(): Generator<[number, number]> {
    for (let user = 0; user < model.parameters.users; user++) {
      history = histories.of(user);
      reviews = reviewer.of(history);
      yield [0, history.length];
    }
  }
  return new ColumnsReader("synthetic events", columns, blocks(), options);
}

function itemReader({ catalogue }: SyntheticModel, options: ReaderOptions): RowReader {
  const columns: ValueColumn[] = [
    { name: "item", get: (item) => String(item + 1) },
    { name: "title", get: (item) => catalogue.titles[item] },
    { name: "genres", get: (item) => genresOf(catalogue, item) },
  ];
  function* blocks(): Generator<[number, number]> {
    for (let from = 0; from < catalogue.items; from += rowsBetweenPauses)
      yield [from, Math.min(from + rowsBetweenPauses, catalogue.items)];
  }
  return new ColumnsReader("synthetic items", columns, blocks(), options);
}

/** Rows whose fields are made when they are asked for. */
class ColumnsReader implements RowReader {
  readonly bytes = undefined;
  readonly bytesRead = 0;
  readonly #row: ValueRow;

  constructor(
    readonly name: string,
    readonly columns: readonly ValueColumn[],
    /** The rows of each block, as the columns number them: from the first up to, not including, the second. */
    readonly blocks: Iterable<readonly [number, number]>,
    readonly options: ReaderOptions,
  ) {
    this.#row = new ValueRow(name, columns);
  }

  column(name: string | number): number {
    const column = this.columns.findIndex((column) => column.name === name);
    if (column >= 0) return column;
    const names = this.columns.map((column) => column.name).join(", ");
    throw new DataError(`${this.name}: there is no column "${name}"; there are ${names}`);
  }

  async *rows(): AsyncGenerator<Iterable<Row>> {
    let sincePause = 0;
    for (const [from, to] of this.blocks) {
      this.options.signal?.throwIfAborted();
      yield this.#walk(from, to);
      sincePause += to - from;
      if (sincePause < rowsBetweenPauses) continue;
      await setImmediate();
      sincePause = 0;
    }
  }

  sha256(): undefined {}

  async close(): Promise<void> {}

  *#walk(from: number, to: number): Generator<Row> {
    for (let at = from; at < to; at++) {
      this.#row.at = at;
      this.#row.line++;
      yield this.#row;
    }
  }
}
