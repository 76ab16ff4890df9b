/**
 * Training steps of a small causal encoder at the paper's sizes, and what they leave of the event loop.
 *
 *     npm run bench -- train [--steps N] [--json FILE]
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import {
  AdamW,
  add,
  crossEntropy,
  Embedding,
  LayerNorm,
  Linear,
  Module,
  memory,
  Pacer,
  resetPeakMemory,
  type Tensor,
  TransformerBlock,
  tensor,
  tidy,
  valueAndGrad,
} from "../src/index.js";
import { describeMachine, type Timing, thisMachine, timingOf, writeResults } from "./report.js";

const batch = 128;
const length = 50;
const width = 128;
const items = 9742;

class Encoder extends Module {
  readonly items = new Embedding(items, width);
  readonly positions = new Embedding(length, width);
  readonly blocks = Array.from(
    { length: 2 },
    () => new TransformerBlock(width, { heads: 8, causal: true }),
  );
  readonly norm = new LayerNorm(width);
  readonly head = new Linear(width, items, { bias: false });

  loss(ids: Tensor, targets: Tensor, places: Tensor): Tensor {
    let x = add(this.items.forward(ids), this.positions.forward(places));
    for (const block of this.blocks) x = block.forward(x);
    return crossEntropy(this.head.forward(this.norm.forward(x)), targets);
  }
}

export interface TrainResult {
  /** Seconds from step to step. */
  step: Timing;
  /** Seconds that the JavaScript thread was busy with a step. */
  javascript: Timing;
  /** History events that went through the model. */
  eventsPerSecond: number;
  /** How late a timer fired while training. */
  eventLoopDelayMs: { p50: number; p99: number; max: number };
  peakMiB: number;
}

export interface TrainOptions {
  /** Timed, after five of warm-up. */
  steps: number;
  json?: string | undefined;
}

export async function benchTraining({ steps, json }: TrainOptions): Promise<void> {
  const result = await train(steps);
  const machine = thisMachine();
  const { step, javascript, eventLoopDelayMs: delay } = result;
  console.log(describeMachine(machine));
  console.log(
    [
      `${batch} users, ${length} events, ${items} items, 2 blocks of width ${width}, attention from separate ops`,
      `step             ${(step.median * 1e3).toFixed(1)} ms, fastest ${(step.min * 1e3).toFixed(1)}, ` +
        `${result.eventsPerSecond.toFixed(0)} events a second`,
      `JavaScript       ${(javascript.median * 1e3).toFixed(2)} ms a step`,
      `event-loop delay p50 ${delay.p50.toFixed(2)} ms, p99 ${delay.p99.toFixed(2)}, most ${delay.max.toFixed(2)}`,
      `memory           ${result.peakMiB.toFixed(0)} MiB at most`,
    ].join("\n"),
  );
  writeResults("train", machine, result, json);
}

async function train(steps: number): Promise<TrainResult> {
  const model = new Encoder();
  const optimizer = new AdamW(model.trainable(), { learningRate: 1e-3 });
  const pacer = new Pacer();
  const shape = [batch, length];
  const ids = Int32Array.from({ length: batch * length }, (_, i) => (i * 7919) % items);
  const x = tensor(ids, { shape });
  const y = tensor(
    ids.map((id) => (id * 31 + 7) % items),
    { shape },
  );
  const places = tensor(Int32Array.from({ length }, (_, i) => i));
  const busy: number[] = [];
  const ends: number[] = [];
  const delay = monitorEventLoopDelay({ resolution: 1 });
  for (let step = -5; step < steps; step++) {
    if (step === 0) {
      await pacer.finish();
      resetPeakMemory();
      delay.enable();
      ends.push(performance.now());
    }
    const begin = performance.now();
    tidy(() => {
      const { gradients } = valueAndGrad(model.trainable(), () => model.loss(x, y, places));
      optimizer.step(gradients, { clipNorm: 1 });
    });
    if (step >= 0) busy.push(performance.now() - begin);
    await pacer.next();
    if (step >= 0) ends.push(performance.now());
  }
  await pacer.finish();
  delay.disable();
  const total = performance.now() - ends[0]!;
  const seconds = (milliseconds: readonly number[]) => timingOf(milliseconds.map((ms) => ms / 1e3));
  const result: TrainResult = {
    step: seconds(ends.slice(1).map((end, i) => end - ends[i]!)),
    javascript: seconds(busy),
    eventsPerSecond: (steps * batch * length) / (total / 1e3),
    eventLoopDelayMs: {
      p50: delay.percentile(50) / 1e6,
      p99: delay.percentile(99) / 1e6,
      max: delay.max / 1e6,
    },
    peakMiB: memory().peakBytes / 2 ** 20,
  };
  model.dispose();
  optimizer.dispose();
  for (const t of [x, y, places]) t.dispose();
  return result;
}
