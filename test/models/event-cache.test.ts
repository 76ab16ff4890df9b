/** Events that are appended one by one give what the whole history gives. */
import test from "ava";
import fc from "fast-check";
import { Generator, memory, rand, type Tensor, tidy, UsageError } from "../../src/index.js";
import {
  AutoregressiveEncoder,
  type AutoregressiveOptions,
  type EventCache,
} from "../../src/models/index.js";
import { batchOf, type Event, features, inventedEvents, uniforms } from "./event-batches.js";

const length = 9;

rand([1]).dispose(); // the default generator keeps a tensor

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

function encoderOf(options: AutoregressiveOptions = {}): AutoregressiveEncoder {
  using generator = new Generator(3);
  const sizes = { width: 16, heads: 2, layers: 2, generator } as const;
  const encoder = new AutoregressiveEncoder({ features, length }, { ...sizes, ...options });
  encoder.eval();
  return encoder;
}

/** What a batch takes for the event after the last one. */
const next: Event = { item: 0, genre: [], rating: undefined };

/** Takes in new events, a list for each user. */
function append(encoder: AutoregressiveEncoder, cache: EventCache, events: readonly Event[][]) {
  using batch = batchOf(
    events.map((list) => [...list, next]),
    { layout: "ragged" },
  );
  const { inputs, bags } = batch;
  return encoder.append({ inputs, bags, counts: events.map((list) => list.length) }, cache);
}

async function rows(x: Tensor): Promise<number[][]> {
  const values = (await x.toArray()) as number[][];
  x.dispose();
  return values;
}

/** The embeddings of whole histories, user by user, and their queries. */
async function whole(encoder: AutoregressiveEncoder, histories: readonly Event[][]) {
  using batch = batchOf(
    histories.map((history) => [...history, next]),
    { layout: "ragged" },
  );
  const embeddings = await rows(tidy(() => encoder.embed(batch)));
  const query = await rows(tidy(() => encoder.query(batch)));
  let end = 0;
  return {
    embeddings: histories.map((each) => embeddings.slice(end, (end += each.length))),
    query,
  };
}

function distance(a: number[][], b: number[][]): number {
  if (a.length !== b.length) return Infinity;
  return Math.max(0, ...a.flatMap((row, i) => row.map((value, j) => Math.abs(value - b[i]![j]!))));
}

/** Embeddings are about 1; so many roundings of a dtype may add up in two blocks. */
const tolerance = { float64: 1e-13, float32: 1e-5 } as const;

const cases = (["learned", "rotary"] as const).flatMap((positions) =>
  (["float64", "float32"] as const).map((dtype) => ({ positions, dtype })),
);

for (const { positions, dtype } of cases)
  test.serial(`${positions} positions, ${dtype}: event by event as in one go`, async (t) => {
    using encoder = encoderOf({ positions, dtype });
    const shares = fc.array(fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3)), {
      minLength: 1,
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(shares, fc.nat(), async (parts, seed) => {
        const random = uniforms(seed);
        const histories: Event[][] = [[], [], []];
        const embedded: number[][][] = [[], [], []];
        using cache = encoder.cache(3, { capacity: 1 });
        let query: number[][] = [];
        for (const part of parts) {
          const events = part.map((count, user) =>
            inventedEvents(Math.min(count, length - histories[user]!.length), random),
          );
          const made = append(encoder, cache, events);
          const embeddings = await rows(made.embeddings);
          query = await rows(made.query);
          let end = 0;
          events.forEach((list, user) => {
            histories[user]!.push(...list);
            embedded[user]!.push(...embeddings.slice(end, (end += list.length)));
          });
        }
        t.deepEqual(
          cache.lengths,
          histories.map((history) => history.length),
        );
        const users = [0, 1, 2].filter((user) => histories[user]!.length > 0);
        if (users.length === 0) return;
        const expected = await whole(
          encoder,
          users.map((user) => histories[user]!),
        );
        for (const [i, user] of users.entries()) {
          t.true(distance(embedded[user]!, expected.embeddings[i]!) < tolerance[dtype]);
          t.true(distance([query[user]!], [expected.query[i]!]) < tolerance[dtype]);
        }
      }),
      { numRuns: 12 },
    );
  });

test.serial("learned positions end; what is too long changes nothing", async (t) => {
  using encoder = encoderOf();
  using cache = encoder.cache(2);
  const history = inventedEvents(length, uniforms(1));
  for (const each of Object.values(append(encoder, cache, [history, history.slice(0, 2)])))
    each.dispose();
  t.throws(() => append(encoder, cache, [[next], []]), {
    instanceOf: UsageError,
    message:
      "AutoregressiveEncoder.append: user 0 would have 10 events, but there are 9 learned positions; begin another cache with the last events",
  });
  t.deepEqual(cache.lengths, [9, 2]);
  const { embeddings, query } = append(encoder, cache, [[], [history[2]!]]);
  const expected = await whole(encoder, [history, history.slice(0, 3)]);
  t.true(distance(await rows(embeddings), expected.embeddings[1]!.slice(2)) < 1e-5);
  t.true(distance(await rows(query), expected.query) < 1e-5);
});

test.serial("rotary positions go on beyond the length of training", async (t) => {
  using encoder = encoderOf({ positions: "rotary", dtype: "float64" });
  using cache = encoder.cache(1);
  const history = inventedEvents(3 * length, uniforms(2));
  const embedded: number[][] = [];
  for (const event of history) {
    const { embeddings, query } = append(encoder, cache, [[event]]);
    embedded.push(...(await rows(embeddings)));
    query.dispose();
  }
  const { embeddings } = await whole(encoder, [history]);
  t.true(distance(embedded, embeddings[0]!) < tolerance.float64);
});

test.serial("users are dropped, reordered and copied; one without events has zeros", async (t) => {
  using encoder = encoderOf({ dtype: "float64", lossWeights: {} });
  using cache = encoder.cache(3);
  const [a, b] = [inventedEvents(4, uniforms(3)), inventedEvents(2, uniforms(4))] as const;
  for (const each of Object.values(append(encoder, cache, [a, b, []]))) each.dispose();
  t.deepEqual(await cache.last.toArray().then((all) => (all as number[][])[2]), Array(16).fill(0));
  cache.select([1, 0, 1]);
  t.deepEqual(cache.lengths, [2, 4, 2]);
  const more = inventedEvents(2, uniforms(5));
  const { embeddings, query } = append(encoder, cache, [[more[0]!], [], [more[1]!]]);
  const expected = await whole(encoder, [[...b, more[0]!], a, [...b, more[1]!]]);
  t.true(distance(await rows(query), expected.query) < tolerance.float64);
  const lasts = [expected.embeddings[0]!.at(-1)!, expected.embeddings[2]!.at(-1)!];
  t.true(distance(await rows(embeddings), lasts) < tolerance.float64);
  t.true(cache.bytes > 0);
});

test.serial("refused: counts that do not fit", (t) => {
  using encoder = encoderOf();
  using cache = encoder.cache(2);
  const message = /counts \[.*\] must be 2 whole numbers that add up to 1 events/;
  using batch = batchOf([[next, next]], { layout: "ragged" });
  for (const counts of [[1], [1, 1], [2, -1], [0.5, 0.5]])
    t.throws(() => encoder.append({ ...batch, counts }, cache), {
      instanceOf: UsageError,
      message,
    });
  t.deepEqual(cache.lengths, [0, 0]);
});
