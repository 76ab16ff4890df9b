import test from "ava";
import { UsageError } from "../../src/errors.js";
import { constantWithWarmup, cosineWithWarmup, linearWithWarmup } from "../../src/optim/index.js";

const close = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-15;

test("cosineWithWarmup rises and falls through known values", (t) => {
  const at = (step: number) => cosineWithWarmup(step, { peak: 2, steps: 110, warmup: 10 });
  t.is(at(0), 0);
  t.is(at(5), 1);
  t.is(at(10), 2);
  t.true(close(at(35), 1 + Math.SQRT1_2));
  t.true(close(at(60), 1));
  t.is(at(110), 0);
  t.is(at(1000), 0);
});

test("a floor is the lowest the cosine falls to", (t) => {
  const at = (step: number) =>
    cosineWithWarmup(step, { peak: 2, steps: 100, warmup: 0, floor: 0.5 });
  t.is(at(0), 2);
  t.true(close(at(50), 1.25));
  t.is(at(100), 0.5);
  t.is(at(101), 0.5);
});

test("cosine and line are those of transformers", (t) => {
  const [peak, steps, warmup] = [3e-4, 57, 6];
  for (let step = 0; step <= steps; step++) {
    const progress = (step - warmup) / Math.max(1, steps - warmup);
    const rise = step / Math.max(1, warmup);
    const cosine =
      step < warmup ? rise : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * 0.5 * 2 * progress)));
    const line = step < warmup ? rise : Math.max(0, (steps - step) / Math.max(1, steps - warmup));
    t.true(close(cosineWithWarmup(step, { peak, steps, warmup }), peak * cosine));
    t.true(close(linearWithWarmup(step, { peak, steps, warmup }), peak * line));
  }
});

test("linearWithWarmup and constantWithWarmup pass known values", (t) => {
  const options = { peak: 1, steps: 20, warmup: 4 };
  const steps = [0, 1, 4, 12, 20, 30];
  t.deepEqual(
    steps.map((step) => linearWithWarmup(step, options)),
    [0, 0.25, 1, 0.5, 0, 0],
  );
  t.deepEqual(
    steps.map((step) => constantWithWarmup(step, options)),
    [0, 0.25, 1, 1, 1, 1],
  );
});

test("a warmup below 1 is a share of the steps, rounded up; the default is a tenth", (t) => {
  const firstAtPeak = (warmup?: number): number => {
    for (let step = 0; ; step++)
      if (constantWithWarmup(step, { peak: 1, steps: 25, warmup }) === 1) return step;
  };
  t.is(firstAtPeak(), 3);
  t.is(firstAtPeak(0.1), 3);
  t.is(firstAtPeak(0.2), 5);
  t.is(firstAtPeak(0), 0);
  t.is(firstAtPeak(1), 1);
  t.is(firstAtPeak(25), 25);
});

test("numbers out of range are refused", (t) => {
  const refused = (call: () => number, message: string): void => {
    t.throws(call, { instanceOf: UsageError, message });
  };
  refused(
    () => cosineWithWarmup(-1, { peak: 1, steps: 10 }),
    "cosineWithWarmup: step must be a finite number from 0 on, got -1",
  );
  refused(
    () => cosineWithWarmup(0, { peak: Number.NaN, steps: 10 }),
    "cosineWithWarmup: peak must be a finite number from 0 on, got NaN",
  );
  refused(
    () => linearWithWarmup(0, { peak: 1, steps: 10, warmup: 11 }),
    "linearWithWarmup: warmup 11 is longer than steps 10",
  );
  refused(
    () => linearWithWarmup(0, { peak: 1, steps: 10, floor: 2 }),
    "linearWithWarmup: floor 2 is above peak 1",
  );
});
