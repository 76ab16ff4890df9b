import test from "ava";
import fc from "fast-check";
import { Dictionary, longestKey } from "../../src/data/dictionary.js";
import { DataError } from "../../src/errors.js";

test("numbers names in the order they come, and finds them again (property)", (t) => {
  const names = fc.array(fc.string({ unit: "binary", maxLength: 3 }), { maxLength: 5000 });
  fc.assert(
    fc.property(names, (names) => {
      const dictionary = new Dictionary();
      const expected = [...new Set(names.map((name) => Buffer.from(name).toString()))];
      for (const name of names) dictionary.index(name);
      t.deepEqual([...dictionary.names()], expected);
      t.is(dictionary.size, expected.length);
      for (const [i, name] of expected.entries()) {
        t.is(dictionary.find(name), i);
        t.is(dictionary.index(name), i);
      }
      t.is(dictionary.find("not there"), -1);
    }),
  );
});

test("forgets the names that came last, and nothing else (property)", (t) => {
  const few = fc.integer({ min: 0, max: 3000 });
  fc.assert(
    fc.property(fc.array(fc.tuple(few, few), { maxLength: 8 }), (steps) => {
      const dictionary = new Dictionary();
      let expected: string[] = [];
      for (const [more, kept] of steps) {
        for (let i = 0; i < more; i++) dictionary.index(`name ${(i * 7919) % 5003}`);
        expected = [...dictionary.names()].slice(0, kept);
        dictionary.truncate(kept);
        t.is(dictionary.size, expected.length);
        t.true(expected.every((name, i) => dictionary.find(name) === i));
        t.is(dictionary.find("name 1") >= 0, expected.includes("name 1"));
      }
      t.deepEqual([...dictionary.names()], expected);
    }),
    { numRuns: 30 },
  );
});

test("refuses a name that only a broken file has", (t) => {
  const dictionary = new Dictionary();
  t.is(dictionary.index("x".repeat(longestKey)), 0);
  for (const name of ["x".repeat(longestKey + 1), "é".repeat(longestKey / 2 + 1)]) {
    t.throws(() => dictionary.index(name), { instanceOf: DataError });
    t.is(dictionary.find(name), -1);
  }
  t.is(dictionary.size, 1);
});

test("takes any bytes, wherever they stand (property)", (t) => {
  const keys = fc.array(fc.uint8Array({ maxLength: 6, max: 3 }), { maxLength: 100 });
  fc.assert(
    fc.property(keys, fc.nat({ max: 5 }), (keys, padding) => {
      const map = new Map<string, number>();
      const dictionary = new Dictionary();
      for (const key of keys) {
        const bytes = Buffer.concat([Buffer.alloc(padding, 1), key, Buffer.alloc(padding, 2)]);
        if (!map.has(key.join())) map.set(key.join(), map.size);
        const index = dictionary.indexOfBytes(bytes, padding, padding + key.length);
        t.is(index, map.get(key.join())!);
      }
    }),
  );
});

test("grows past every table it begins with", (t) => {
  const dictionary = new Dictionary();
  const count = 100_000;
  for (let i = 0; i < count; i++) dictionary.index(`user-${i}`);
  t.is(dictionary.size, count);
  for (let i = 0; i < count; i += 997) {
    t.is(dictionary.find(`user-${i}`), i);
    t.is(dictionary.name(i), `user-${i}`);
  }
});

test("a name that was forgotten is new when it comes again", (t) => {
  const dictionary = new Dictionary();
  t.deepEqual(
    ["a", "b", "b"].map((name) => dictionary.index(name)),
    [0, 1, 1],
  );
  dictionary.truncate(1);
  t.deepEqual(
    ["c", "b", "c"].map((name) => dictionary.index(name)),
    [1, 2, 1],
  );
});
