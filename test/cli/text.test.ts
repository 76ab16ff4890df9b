import test from "ava";
import fc from "fast-check";
import { table } from "../../src/cli/table.js";
import { bytes, count, duration, truncate, visible, width } from "../../src/cli/text.js";

const written: [string, string][] = [
  [count(13_812_345), "13,812,345"],
  [count(0), "0"],
  [bytes(0), "0 B"],
  [bytes(999), "999 B"],
  [bytes(1000), "1.00 kB"],
  [bytes(99_940), "99.9 kB"],
  [bytes(99_960), "100 kB"],
  [bytes(999_499), "999 kB"],
  [bytes(999_500), "1.00 MB"],
  [bytes(533_444_000), "533 MB"],
  [bytes(5e15), "5000 TB"],
  [duration(0.04), "0.0 s"],
  [duration(9.94), "9.9 s"],
  [duration(9.96), "10 s"],
  [duration(59.6), "1 min 00 s"],
  [duration(200), "3 min 20 s"],
  [duration(3599.7), "1 h 00 min"],
  [duration(7500), "2 h 05 min"],
  [visible("a\tb\r\nc\x07\u2028d"), "a b c\ufffd d".replace("\ufffd d", "\ufffdd")],
];
for (const [got, expected] of written) test(`written as ${expected}`, (t) => t.is(got, expected));

test("widths are columns of a terminal", (t) => {
  t.is(width("abc"), 3);
  t.is(width("映画"), 4);
  t.is(width("e\u0301"), 1);
  t.is(width("🎬"), 2);
  t.is(width("\x1b[31mred\x1b[39m"), 3);
});

test("truncated texts fit and begin as they did", (t) => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.nat(40), (text, columns) => {
      const short = truncate(text, columns);
      t.true(width(short) <= columns);
      t.true(text.startsWith(short.replace(/…$/, "")));
      if (width(text) <= columns) t.is(short, text);
    }),
  );
});

test("tables align numbers right, texts left, by their width", (t) => {
  const rows = [
    ["映画", 1_000_000, "x"],
    ["Toy Story\n", 7, undefined],
    ["", undefined, "y"],
  ];
  t.is(
    table(rows, { header: ["title", "events", ""], indent: "  " }),
    "  title          events\n  映画        1,000,000  x\n  Toy Story           7\n                         y\n",
  );
  t.is(table([]), "");
});
