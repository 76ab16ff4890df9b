import test from "ava";
import { philox, RandomStream } from "../../../src/data/synthetic/philox.js";

/** From the test vectors of Random123 (philox4x32, 10 rounds). */
const known = [
  {
    counter: [0, 0, 0, 0],
    key: [0, 0],
    words: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    words: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    words: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  },
] as const;

test("Philox gives the published words", (t) => {
  for (const { counter, key, words } of known) {
    const out = new Uint32Array(4);
    philox(counter, key, out);
    t.deepEqual([...out], [...words]);
  }
});

test("seeds beyond 2^32, purposes and streams all matter, and a stream begins again", (t) => {
  const words = (random: RandomStream) => Array.from({ length: 6 }, () => random.word());
  const first = words(new RandomStream(7, 1, 3));
  for (const other of [
    new RandomStream(7 + 2 ** 32, 1, 3),
    new RandomStream(8, 1, 3),
    new RandomStream(7, 2, 3),
    new RandomStream(7, 1, 4),
  ])
    t.notDeepEqual(words(other), first);
  const random = new RandomStream(7, 1, 0);
  words(random);
  random.restart(3);
  t.deepEqual(words(random), first);
});

test("draws come as often as they should", (t) => {
  const random = new RandomStream(1, 1);
  const draws = 60_000;
  const counts = { below: [0, 0, 0], draw: [0, 0, 0] };
  const shares = [0.2, 0.5, 0.3];
  for (let i = 0; i < draws; i++) {
    counts.below[random.below(3)]!++;
    counts.draw[random.draw(shares)]!++;
  }
  const near = (count: number, share: number) =>
    Math.abs(count - draws * share) < 4 * Math.sqrt(draws * share * (1 - share));
  t.true(counts.below.every((count) => near(count, 1 / 3)));
  t.true(counts.draw.every((count, i) => near(count, shares[i]!)));
});
