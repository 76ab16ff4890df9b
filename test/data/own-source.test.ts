/** A source of one's own, written with nothing but what the package exports. */
import { join } from "node:path";
import test from "ava";
import {
  type Dictionary,
  PreparedData,
  prepare,
  type ReaderOptions,
  type Row,
  type RowReader,
  type Source,
} from "../../src/data/index.js";
import { RowError } from "../../src/errors.js";
import { temporaryFolder } from "./sources/raw-files.js";

const columns = ["who", "what", "when", "stars"];
const log = ["ana café 100 5", "ben museum 120 4", "ana museum 130 many", "ana market 140 -"];

/** Words between spaces, `-` for none. */
class WordRow implements Row {
  line = 0;
  words: readonly string[] = [];

  text(column: number): string | undefined {
    const word = this.words[column];
    return word === "-" ? undefined : word;
  }

  number(column: number): number | undefined {
    const text = this.text(column);
    const number = Number(text ?? 0);
    if (Number.isFinite(number)) return text === undefined ? undefined : number;
    throw this.error(column, "expected a number");
  }

  index(column: number, dictionary: Dictionary): number {
    const text = this.text(column);
    return text === undefined ? -1 : dictionary.index(text);
  }

  value(column: number): unknown {
    return this.text(column);
  }

  error(column: number, rule: string): RowError {
    return new RowError("log", this.line, columns[column], rule, this.words[column]);
  }
}

async function openLog(_options: ReaderOptions): Promise<RowReader> {
  return {
    name: "log",
    bytes: undefined,
    bytesRead: 0,
    column: (name) => columns.indexOf(String(name)),
    async *rows() {
      yield (function* () {
        const row = new WordRow();
        for (const [i, line] of log.entries())
          yield Object.assign(row, { line: i + 1, words: line.split(" ") });
      })();
    },
    sha256: () => undefined,
    close: async () => {},
  };
}

const source: Source = {
  name: "log",
  title: "A log",
  licence: "ours",
  catalogue: "all",
  events: {
    open: openLog,
    mapping: {
      user: "who",
      item: "what",
      time: { column: "when", unit: "seconds" },
      features: { stars: { kind: "ordinal", column: "stars" } },
    },
  },
};

test("a reader of one's own is prepared like any other", async (t) => {
  const out = join(temporaryFolder(t), "prepared");
  const { counts, dropped } = await prepare(source, { out, onError: "skip" });
  t.like(counts, { events: 3, users: 2, items: 3 });
  t.is(dropped[0]?.first, 'log, line 3, column "stars": expected a number, got many');

  using data = await PreparedData.open(out);
  t.is(data.manifest.source.licence, "ours");
  t.deepEqual([...data.column("item")], [0, 2, 1]);
  t.deepEqual([...data.column("stars")], [1, -1, 0]);
  t.deepEqual(
    [0, 1, 2].map((item) => data.itemId(item)),
    ["café", "museum", "market"],
  );
});
