import test from "ava";
import fc from "fast-check";
import { Selection } from "../../src/tasks/selection.js";

test("gives the selected numbers by rank", (t) => {
  const gaps = fc.array(fc.oneof(fc.nat(3), fc.nat(20_000)), { maxLength: 200 });
  fc.assert(
    fc.property(gaps, (gaps) => {
      const numbers: number[] = [];
      let next = 0;
      for (const gap of gaps) {
        numbers.push(next + gap);
        next += gap + 1;
      }
      const selection = new Selection(next + 5);
      for (const number of numbers) selection.add(number);
      t.is(selection.count, numbers.length);
      for (const [rank, number] of numbers.entries()) t.is(selection.at(rank), number);
    }),
  );
});

test("numbers must rise and lie inside", (t) => {
  const selection = new Selection(10);
  selection.add(4);
  t.throws(() => selection.add(4), { instanceOf: RangeError });
  t.throws(() => selection.add(10), { instanceOf: RangeError });
});
