import test from "ava";
import type { RowReader } from "../../../src/data/formats/row.js";
import { synthetic } from "../../../src/data/synthetic/source.js";

/** All rows of a table, as columns of values. */
async function rowsOf(open: Promise<RowReader>, columns: readonly string[]): Promise<unknown[][]> {
  const reader = await open;
  const numbers = columns.map((name) => reader.column(name));
  const rows: unknown[][] = [];
  for await (const block of reader.rows())
    for (const row of block) rows.push(numbers.map((column) => row.value(column)));
  await reader.close();
  return rows;
}

const reading = { onError: () => {} };
const eventColumns = ["user", "item", "time", "rating", "review"];

test("a source has every event and item, and can be read again", async (t) => {
  const source = synthetic({ preset: "tiny", seed: 7 });
  t.is(source.title, "Synthetic (user-llm, seed 7)");
  t.regex(source.licence!, /not real/);
  const events = await rowsOf(source.events.open(reading), eventColumns);
  t.is(events.length, 2_000);
  t.is(new Set(events.map(([user]) => user)).size, 50);
  t.true(events.every(([, , , rating]) => Number.isInteger(2 * (rating as number))));
  t.deepEqual(await rowsOf(source.events.open(reading), eventColumns), events);
  const items = await rowsOf(source.items!.open(reading), ["item", "title", "genres"]);
  t.is(items.length, 200);
  t.deepEqual(
    items.map(([id]) => id),
    Array.from({ length: 200 }, (_, i) => String(i + 1)),
  );
  t.true(items.every(([, title]) => /\(\d{4}\)$/.test(title as string)));
});

test("reviews say what the rating says, in the user's manner", async (t) => {
  const source = synthetic({ preset: "small", users: 300, seed: 3, reviewShare: 0.5 });
  const rows = await rowsOf(source.events.open(reading), eventColumns);
  const reviews = rows.filter(([, , , , review]) => review !== "");
  const share = reviews.length / rows.length;
  t.true(Math.abs(share - 0.5) < 4 * Math.sqrt(0.25 / rows.length), `${share}`);

  // The share of words like these, by rating and by who rates.
  const shareOf = (pattern: RegExp, which: (row: unknown[]) => boolean) => {
    const chosen = reviews.filter(which);
    return (
      chosen.filter(([, , , , review]) => pattern.test(review as string)).length / chosen.length
    );
  };
  const rating = (row: unknown[]) => row[3] as number;
  const praise = /very good|well done|was strong|worked|pure magic|real treat/;
  t.true(shareOf(praise, (row) => rating(row) > 4) > 0.2);
  t.is(
    shareOf(praise, (row) => rating(row) < 4),
    0,
  );
  const closings = new Map<unknown, Map<string, number>>();
  for (const [user, , , , review] of reviews) {
    const counts = closings.get(user) ?? new Map<string, number>();
    const closing = (review as string).split(". ").at(-1)!;
    closings.set(user, counts.set(closing, (counts.get(closing) ?? 0) + 1));
  }
  const usual = [...closings.values()].map((counts) => Math.max(...counts.values()));
  const usualShare = usual.reduce((a, b) => a + b) / reviews.length;
  t.true(usualShare > 0.75, `${usualShare}`);

  const foreign = new Set(
    reviews.filter(([, , , , review]) => /[^ -~]/.test(review as string)).map(([user]) => user),
  );
  t.true(foreign.size >= 1 && foreign.size < 20, `${foreign.size}`);
});

test("a wrong option is refused at once, a wrong column by name", async (t) => {
  t.throws(() => synthetic({ genres: 1 }), { code: "ERR_CONFIG" });
  const reader = await synthetic({ preset: "tiny" }).events.open(reading);
  t.throws(() => reader.column("stars"), {
    code: "ERR_DATA",
    message: /no column "stars"; there are user, item, time, rating, review/,
  });
});

test("reading stops when it is aborted", async (t) => {
  const stop = new AbortController();
  const { events } = synthetic({ preset: "small" });
  const reader = await events.open({ ...reading, signal: stop.signal });
  await t.throwsAsync(
    async () => {
      for await (const _ of reader.rows()) stop.abort(new Error("enough"));
    },
    { message: "enough" },
  );
});
