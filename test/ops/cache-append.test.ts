/** Appends that do not fit. */
import test from "ava";
import { NativeError, ShapeError, UsageError } from "../../src/errors.js";
import {
  type CacheAppendOptions,
  cacheAppend,
  ones,
  rotaryTable,
  zeros,
} from "../../src/ops/index.js";
import { type Tensor, tensor } from "../../src/tensor/index.js";

const ids = (...values: number[]): Tensor => tensor(values, { dtype: "int32" });

/** Room for four tokens of two sequences. */
const cache = (...lengths: number[]) => ({
  keys: zeros([2, 4, 1, 2]),
  values: zeros([2, 4, 1, 2]),
  lengths: ids(...lengths),
});

const dense = (count: number) => ({ key: ones([2, count, 1, 2]), value: ones([2, count, 1, 2]) });
const ragged = (count: number) => ({ key: ones([count, 1, 2]), value: ones([count, 1, 2]) });

const faults: readonly [string, () => ReturnType<typeof cache>, RegExp][] = [
  [
    "a sequence without room",
    () => appended([1, 3], dense(2)),
    /sequence 1 holds 3 tokens and gets 2, but there is room for 4\b/,
  ],
  [
    "a length beyond the capacity",
    () => appended([5, 0], dense(1)),
    /lengths\[0\] = 5 must be in \[0, 5\)/,
  ],
  ["a negative length", () => appended([0, -1], dense(1)), /lengths\[1\] = -1 must be in \[0, 5\)/],
  [
    "a count beyond the tokens",
    () => appended([0, 0], dense(2), { counts: ids(1, 3) }),
    /counts\[1\] = 3 must be in \[0, 3\)/,
  ],
  [
    "a negative count",
    () => appended([0, 0], dense(2), { counts: ids(-1, 1) }),
    /counts\[0\] = -1 must be in \[0, 3\)/,
  ],
  [
    "falling offsets",
    () => appended([0, 0], ragged(3), { offsets: ids(0, 4, 3) }),
    /offsets\[1\] = 4 does not fit: offsets must rise from 0 to 3/,
  ],
  [
    "a position beyond the rotary table",
    () => appended([0, 2], dense(1), { rotary: { table: rotaryTable(2, 2), style: "half" } }),
    /sequence 1 holds 2 tokens and gets 1, but there is room for 4 and the rotary table has 2 positions/,
  ],
];

function appended(
  lengths: number[],
  tokens: Parameters<typeof cacheAppend>[1],
  options?: CacheAppendOptions,
) {
  const into = cache(...lengths);
  cacheAppend(into, tokens, options);
  return into;
}

for (const [name, run, message] of faults)
  test(`${name} is a fault of the cache`, async (t) => {
    for (const broken of Object.values(run()))
      await t.throwsAsync(() => broken.data(), { instanceOf: NativeError, message });
  });

test("tensors that do not belong together are refused", (t) => {
  const refuse = (
    run: () => void,
    message: RegExp | string,
    instanceOf: typeof ShapeError | typeof UsageError = ShapeError,
  ) => t.throws(run, { instanceOf, message });
  refuse(() => appended([0], dense(1)), /lengths \[1\] must be \[2\], one for each sequence/);
  refuse(
    () => appended([0, 0], { key: ones([3, 1, 1, 2]), value: ones([3, 1, 1, 2]) }),
    /key \[3, 1, 1, 2\] must have the batch of keys \[2, 4, 1, 2\], 2/,
  );
  refuse(
    () => appended([0, 0], { key: ones([2, 1, 3, 2]), value: ones([2, 1, 3, 2]) }),
    /key \[2, 1, 3, 2\] must have 1 heads for keys/,
  );
  refuse(
    () => appended([0, 0], { packed: ones([2, 1, 1, 2]) }),
    /must have 2 query, key and value heads/,
  );
  refuse(() => appended([0, 0], ragged(1)), /key must be \[batch, new, heads, headWidth\]/);
  refuse(
    () => appended([0, 0], ragged(1), { offsets: ids(0, 1, 1), counts: ids(1, 0) }),
    /ragged keys have no counts/,
    UsageError,
  );
  refuse(
    () => appended([0, 0], dense(1), { rotary: { table: rotaryTable(4, 4), style: "half" } }),
    /turns 4 elements of heads that are 2 wide/,
  );
  const { keys, values, lengths } = cache(0, 0);
  refuse(
    () => cacheAppend({ keys, values: keys, lengths }, dense(1)),
    /keys and values share memory/,
    UsageError,
  );
  refuse(
    () => cacheAppend({ keys, values, lengths }, { key: keys, value: values }),
    /share memory/,
    UsageError,
  );
});
