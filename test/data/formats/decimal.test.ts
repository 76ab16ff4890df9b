import test from "ava";
import fc from "fast-check";
import { parseDecimal, parseDecimalBytes } from "../../../src/data/formats/decimal.js";

const surrounded = (text: string): number | undefined =>
  parseDecimalBytes(Buffer.from(`7${text}7`), 1, 1 + Buffer.byteLength(text));

const digits = fc.string({ unit: fc.constantFrom(..."0123456789"), maxLength: 25 });
const written = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.integer().map(String),
  fc
    .tuple(fc.constantFrom("", "-", "+"), digits, fc.constantFrom("", "."), digits)
    .map((parts) => parts.join("")),
  fc.string({ unit: fc.constantFrom(..."0123456789+-.eE x"), maxLength: 8 }),
);

/** The rule, said again: what Number reads, less what is not decimal, finite or in full. */
function expected(text: string): number | undefined {
  const bare = text.replace(/^ *(.*?) *$/s, "$1");
  const number = Number(bare);
  return /^[\d+.eE-]+$/.test(bare) && Number.isFinite(number) ? number : undefined;
}

test("bytes and texts give what Number does, to the bit (property)", (t) => {
  fc.assert(
    fc.property(written, (text) => {
      t.is(surrounded(text), expected(text));
      t.is(parseDecimal(text), expected(text));
    }),
    { numRuns: 20_000 },
  );
});

test("what looks like a number is not one", (t) => {
  for (const text of [
    "",
    " ",
    ".",
    "-",
    "+.",
    "e5",
    "1e",
    "0x10",
    "0b1",
    "1_000",
    "1,5",
    "5O",
    "NaN",
    "Infinity",
    "1e999",
    "٣",
    "5\n",
    "5\t",
    "\u00a05",
    "5n",
    "1 2",
  ]) {
    t.is(surrounded(text), undefined, text);
    t.is(parseDecimal(text), undefined, text);
  }
});
