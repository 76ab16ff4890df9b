/** Computing never blocks JavaScript. */
import { performance } from "node:perf_hooks";
import test from "ava";
import { matmul, ones } from "../../src/ops/index.js";
import { tidy } from "../../src/tensor/index.js";

test("timers and immediates fire during one long op", async (t) => {
  const began = performance.now();
  const x = ones([3000, 3000], { dtype: "float64" });
  const result = matmul(x, x);
  const called = performance.now() - began;

  let computing = true;
  const data = result.data().then(() => {
    computing = false;
  });
  let immediates = 0;
  const next = (): void => {
    if (!computing) return;
    immediates++;
    setImmediate(next);
  };
  setImmediate(next);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await data;
  clearInterval(timer);
  const total = performance.now() - began;

  t.log(
    `call ${called.toFixed(2)} ms of ${total.toFixed(0)} ms; ${ticks} ticks, ${immediates} immediates`,
  );
  t.true(called < total / 2);
  t.true(ticks >= 5);
  t.true(immediates >= 100);
  for (const tensor of [x, result]) tensor.dispose();
});

test("promises of reads resolve in order", async (t) => {
  const order: number[] = [];
  const tensors = tidy(() => Array.from({ length: 20 }, (_, i) => ones([i + 1])));
  await Promise.all(tensors.map(async (tensor) => order.push((await tensor.data()).length)));
  t.deepEqual(
    order,
    tensors.map((_, i) => i + 1),
  );
  for (const tensor of tensors) tensor.dispose();
});
