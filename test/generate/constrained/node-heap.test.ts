/** The heap of reached nodes, against sorting. */
import test from "ava";
import fc from "fast-check";
import { NodeHeap } from "../../../src/generate/constrained/node-heap.js";

test("nodes come by score, equal ones in the order of the trie", (t) => {
  const score = fc.oneof(fc.integer({ min: -4, max: 0 }), fc.double({ max: 0, noNaN: true }));
  fc.assert(
    fc.property(fc.array(fc.option(score, { freq: 3 })), (steps) => {
      const heap = new NodeHeap();
      let kept: { score: number; node: number; parent: number }[] = [];
      const popped = (): void => {
        kept = kept.sort((a, b) => b.score - a.score || a.node - b.node);
        t.is(heap.bestScore, kept[0]?.score ?? Number.NEGATIVE_INFINITY);
        t.deepEqual(heap.pop(), kept.shift());
      };
      // A number is pushed; nothing is a pop.
      for (const [node, score] of steps.entries()) {
        if (score === null) popped();
        else {
          heap.push(score, node, -node);
          kept.push({ score, node, parent: -node });
        }
        t.is(heap.size, kept.length);
        t.is([...heap.entries()].length, kept.length);
      }
      while (kept.length > 0) popped();
      t.is(heap.pop(), undefined);
    }),
  );
});
