import { isUtf8 } from "node:buffer";
import test from "ava";
import fc from "fast-check";
import { firstInvalidByte } from "../../../src/data/formats/utf8.js";

/** The bytes at which the rules change, so that sequences are nearly right. */
const edge = fc.constantFrom(
  0x00,
  0x41,
  0x7f,
  0x80,
  0x8f,
  0x90,
  0x9f,
  0xa0,
  0xbf,
  0xc0,
  0xc1,
  0xc2,
  0xdf,
  0xe0,
  0xe1,
  0xec,
  0xed,
  0xee,
  0xef,
  0xf0,
  0xf1,
  0xf3,
  0xf4,
  0xf5,
  0xff,
);

test("finds a fault exactly where Node does (property)", (t) => {
  fc.assert(
    fc.property(fc.array(edge, { maxLength: 6 }), (values) => {
      const bytes = Buffer.from(values);
      const at = firstInvalidByte(bytes, 0, bytes.length);
      t.is(at < 0, isUtf8(bytes));
      // What is in front of the fault is sound, and no byte after it can make it so.
      if (at >= 0) t.true(isUtf8(bytes.subarray(0, at)));
      const padded = Buffer.concat([Buffer.from([0xff]), bytes, Buffer.from([0x80])]);
      t.is(firstInvalidByte(padded, 1, 1 + bytes.length), at < 0 ? -1 : at + 1);
    }),
    { numRuns: 50_000 },
  );
});
