import test from "ava";
import { UsageError } from "../../src/errors.js";
import { ones, softmax, zeros } from "../../src/ops/index.js";
import {
  emptyCache,
  keep,
  memory,
  resetPeakMemory,
  synchronize,
  type Tensor,
  tidy,
} from "../../src/tensor/index.js";

let before: number;
test.beforeEach(() => {
  before = memory().tensors;
});
const alive = (): number => memory().tensors - before;

test.serial("tidy disposes what it does not return", (t) => {
  const made: Tensor[] = [];
  const result = tidy(() => {
    made.push(ones([2]), softmax(ones([2])));
    return zeros([3]);
  });
  t.is(alive(), 1);
  t.true(made.every(({ disposed }) => disposed));
  t.false(result.disposed);
  result.dispose();
});

test.serial("tidy finds tensors in arrays, maps, sets and plain objects", (t) => {
  const { list, map, set, object } = tidy(() => ({
    list: [ones([1]), [ones([1])]] as const,
    map: new Map([["a", ones([1])]]),
    set: new Set([ones([1])]),
    object: { deep: { x: ones([1]) }, nothing: null, number: 3 },
  }));
  t.is(alive(), 5);
  for (const tensor of [list[0], ...list[1], ...map.values(), ...set, object.deep.x])
    tensor.dispose();
});

test.serial("tidy does not look into class instances", (t) => {
  class Holder {
    x = ones([1]);
  }
  const holder = tidy(() => new Holder());
  t.true(holder.x.disposed);
});

test.serial("nested scopes hand over what they return", (t) => {
  const result = tidy(() => {
    const inner = tidy(() => {
      ones([1]);
      return [ones([1]), ones([1])] as const;
    });
    return inner[0];
  });
  t.is(alive(), 1);
  result.dispose();
});

test.serial("tidy disposes when the body throws", (t) => {
  t.throws(() =>
    tidy(() => {
      ones([1]);
      tidy(() => {
        ones([1]);
        throw new Error("inside");
      });
    }),
  );
  t.is(alive(), 0);
});

test.serial("tidy refuses a promise and disposes", (t) => {
  t.throws(() => tidy((async () => void ones([1])) as never), {
    instanceOf: UsageError,
    message: "tidy: the body returned a promise; tidy scopes are synchronous",
  });
  t.is(alive(), 0);
});

test.serial("tidy leaves tensors from outside alone", (t) => {
  const x = ones([1]);
  t.is(
    tidy(() => x),
    x,
  );
  t.is(alive(), 1);
  x.dispose();
});

test.serial("keep takes a tensor out of all scopes", (t) => {
  let kept!: Tensor;
  tidy(() => {
    tidy(() => {
      kept = keep(ones([1]));
    });
    ones([1]);
  });
  t.is(alive(), 1);
  t.false(kept.disposed);
  kept.dispose();
});

test.serial("keep outside of scopes and twice does no harm", (t) => {
  const x = keep(keep(ones([1])));
  t.is(alive(), 1);
  x.dispose();
  t.is(alive(), 0);
});

test.serial("disposing inside a scope is fine", (t) => {
  tidy(() => ones([1]).dispose());
  t.is(alive(), 0);
});

test.serial("a scope may return the same tensor twice", (t) => {
  const [a, b] = tidy(() => {
    const x = ones([1]);
    return [x, x] as const;
  });
  t.is(a, b);
  t.is(alive(), 1);
  a.dispose();
});

test.serial("memory counts bytes, peak and cache", async (t) => {
  await synchronize();
  emptyCache();
  resetPeakMemory();
  const start = memory();
  const x = ones([1 << 18]);
  t.is(memory().bytes - start.bytes, 1 << 20);
  x.dispose();
  t.is(memory().bytes, start.bytes);
  t.is(memory().cachedBytes - start.cachedBytes, 1 << 20);
  t.is(memory().peakBytes - start.bytes, 1 << 20);
  const y = ones([1 << 18]);
  t.is(memory().cachedBytes, start.cachedBytes);
  y.dispose();
  emptyCache();
  t.is(memory().cachedBytes, 0);
  resetPeakMemory();
  t.is(memory().peakBytes, memory().bytes);
});

test.serial("a block is used again within a loop", (t) => {
  resetPeakMemory();
  const start = memory().peakBytes;
  for (let i = 0; i < 100; i++) tidy(() => void softmax(ones([1000, 100])));
  t.true(memory().peakBytes - start < 1_000_000);
});
