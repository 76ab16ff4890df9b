import test from "ava";
import { collect } from "../../../src/data/collect/collect.js";
import type { TimeUnit } from "../../../src/data/source.js";
import { eventsOf, plainly, sourceOf } from "./in-memory.js";

async function timeOf(value: unknown, unit: TimeUnit): Promise<unknown> {
  const time = { column: "when", unit };
  const source = sourceOf({ events: [{ user: "al", item: "a", when: value }], mapping: { time } });
  return eventsOf(await collect(source, plainly()))[0]!.time;
}

test("times of every unit become milliseconds", async (t) => {
  t.is(await timeOf(964_982_703, "seconds"), 964_982_703_000);
  t.is(await timeOf(1_574_355_909.123, "seconds"), 1_574_355_909_123);
  t.is(await timeOf(1_574_355_909.0009, "seconds"), 1_574_355_909_001);
  t.is(await timeOf(-1.5, "seconds"), -1500);
  t.is(await timeOf(1_588_687_728_923, "milliseconds"), 1_588_687_728_923);
  t.is(await timeOf(1_588_687_728_923_499, "microseconds"), 1_588_687_728_923);
  t.is(await timeOf(1_588_687_728_923e6, "nanoseconds"), 1_588_687_728_923);
  t.is(await timeOf("2020-05-05T14:08:48.923Z", "iso"), 1_588_687_728_923);
  t.is(await timeOf(8.64e12, "seconds"), 8.64e15);
  t.is(await timeOf(-0.0001, "seconds"), 0);
});

test("a time must be there, whole in milliseconds, and one that a calendar has", async (t) => {
  await t.throwsAsync(timeOf(null, "seconds"), { message: /column "when": expected a time$/ });
  await t.throwsAsync(timeOf(null, "iso"), { message: /column "when": expected a time$/ });
  await t.throwsAsync(timeOf(1.5, "milliseconds"), {
    message: /expected whole milliseconds, got 1.5$/,
  });
  await t.throwsAsync(timeOf(8.64e12 + 1, "seconds"), {
    message: /expected a time in seconds within/,
  });
  await t.throwsAsync(timeOf("yesterday", "iso"), {
    message: /expected an ISO 8601 time.*got "yesterday"$/,
  });
  await t.throwsAsync(timeOf("yesterday", "seconds"), { message: /expected a number/ });
});
