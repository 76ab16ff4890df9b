/**
 * Your own events, from objects in memory to batches: who visited which place when, and how many stars they gave.
 *
 *     node --import=tsx examples/prepare-data.ts
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromIterable, Loader, PreparedData, prepare, split } from "user-llm/data";

const places = ["café", "museum", "market", "library", "harbour"];

/** A stream of events, as a database would give them: nothing is kept of it in memory. */
async function* visits(): AsyncGenerator<object> {
  for (let day = 0; day < 60; day++)
    for (const [i, user] of ["ana", "ben", "eve"].entries()) {
      const item = places[(day * (i + 1)) % places.length];
      yield { user, item, time: new Date(Date.UTC(2024, 4, 1 + day, 9 + i)), stars: 3 + (day % 3) };
    }
}

const folder = await mkdtemp(join(tmpdir(), "visits-"));
const source = fromIterable(visits(), { features: { stars: "ordinal" } });
await prepare(source, { out: join(folder, "prepared") });

using data = await PreparedData.open(join(folder, "prepared"));
const { train, test } = await split(data, { windows: "padded", length: 10 });
console.log(`${data.events} events of ${data.users} users, ${train.count} windows to train on`);

for await (const batch of new Loader(data, train, { batchSize: 32, shuffle: true, seed: 7 })) {
  const { item, stars } = batch.inputs; // int32 [batch, 10], shorter histories padded at the end
  console.log(`items ${item!.shape.join(" x ")}, stars ${stars!.shape.join(" x ")}`);
}

const { user, target } = test.at(0);
console.log(`what did ${data.userId(user)} do last? ${data.itemId(data.column("item")[target]!)}`);
await rm(folder, { recursive: true });
