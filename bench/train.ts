/**
 * Training steps of the paper's user encoder (stage 1), what they leave of the event loop, and PyTorch's in turns.
 *
 *     npm run bench -- train [--steps N] [--threads N] [--python PATH] [--json FILE]
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import {
  AdamW,
  add,
  cpuInfo,
  Embedding,
  LayerNorm,
  linearCrossEntropy,
  Module,
  memory,
  Pacer,
  type Precision,
  resetPeakMemory,
  synchronize,
  type Tensor,
  TransformerBlock,
  tensor,
  tidy,
  valueAndGrad,
} from "../src/index.js";
import type { HostTensors, TorchPath } from "../test/cases/case.js";
import { hostRandom } from "../test/cases/random-host.js";
import {
  describeMachine,
  markdown,
  milliseconds,
  percent,
  type Timing,
  thisMachine,
  timingOf,
  writeResults,
} from "./report.js";
import { TorchPeer } from "./torch-peer.js";

const batch = 128;
const length = 50;
const width = 128;
const heads = 8;
const layers = 6;
const items = 26_744;

/** The softmax over items shares its weights with their embedding. */
class Encoder extends Module {
  readonly items = new Embedding(items, width);
  readonly positions = new Embedding(length, width);
  readonly blocks: TransformerBlock[];
  readonly norm = new LayerNorm(width);

  constructor(readonly precision: Precision) {
    super();
    this.blocks = Array.from(
      { length: layers },
      () => new TransformerBlock(width, { heads, causal: true, precision }),
    );
  }

  loss(ids: Tensor, targets: Tensor, places: Tensor): Tensor {
    let x = add(this.items.forward(ids), this.positions.forward(places));
    for (const block of this.blocks) x = block.forward(x);
    const { weight } = this.items;
    const { precision } = this;
    return linearCrossEntropy(this.norm.forward(x), weight.value, targets, {
      precision,
      shadow: precision === "bfloat16" ? weight.shadow : undefined,
    });
  }
}

/** The same in bench/peers/models.py. */
const torchPaths = ["float32", "bfloat16 autocast"].flatMap((arithmetic) =>
  [false, true].map((compiled): TorchPath => {
    const options = [
      ...(arithmetic === "float32" ? [] : ["autocast=True"]),
      ...(compiled ? ["wrap=torch.compile"] : []),
    ];
    const model = `UserEncoder(${items}, ${length}, ${width}, ${heads}, ${layers})`;
    return {
      name: `${arithmetic}${compiled ? ", compiled" : ""}`,
      setup:
        `(lambda model: dict(step=training_step(model, model.loss, [[[ids.long(), targets.long()]]]` +
        `${options.map((option) => `, ${option}`).join("")})))(${model})`,
      expression: "step()",
    };
  }),
);

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
  /** Steps in turns with PyTorch's, each from beginning to end. */
  turns: { ours: Record<Precision, Timing>; torch: Record<string, Timing> } | undefined;
}

export interface TrainOptions {
  /** Timed, after five of warm-up. */
  steps: number;
  python?: string | undefined;
  json?: string | undefined;
}

const warmups = 5;
const turnSamples = 9;

export async function benchTraining({ steps, python, json }: TrainOptions): Promise<void> {
  const peer = python ? await TorchPeer.start(python, cpuInfo().threads) : undefined;
  const machine = thisMachine(peer?.version);
  const random = hostRandom("training");
  const inputs: HostTensors = {
    ids: random.integers([batch, length], items),
    targets: random.integers([batch, length], items),
  };
  using trainer = new Trainer(inputs, "float32");
  const alone = await timeSteps(trainer, steps);
  using inBFloat16 = new Trainer(inputs, "bfloat16");
  const turns = peer && (await timeTurns({ float32: trainer, bfloat16: inBFloat16 }, inputs, peer));
  peer?.stop();
  const result: TrainResult = { ...alone, turns };

  const { step, javascript, eventLoopDelayMs: delay } = result;
  console.log(describeMachine(machine));
  console.log(
    [
      `${batch} users, ${length} events, ${items} items, ${layers} blocks of width ${width}, ${heads} heads`,
      `step             ${(step.median * 1e3).toFixed(1)} ms, fastest ${(step.min * 1e3).toFixed(1)}, ` +
        `${result.eventsPerSecond.toFixed(0)} events a second`,
      `JavaScript       ${(javascript.median * 1e3).toFixed(2)} ms a step`,
      `event-loop delay p50 ${delay.p50.toFixed(2)} ms, p99 ${delay.p99.toFixed(2)}, most ${delay.max.toFixed(2)}`,
      `memory           ${result.peakMiB.toFixed(0)} MiB at most`,
    ].join("\n"),
  );
  if (turns) {
    const line =
      (side: string) =>
      ([name, timing]: [string, Timing]) => [
        `${side}, ${name}`,
        milliseconds(timing.median),
        percent(timing.spread),
        (timing.median / turns.ours.float32.median).toFixed(2),
        (timing.median / turns.ours.bfloat16.median).toFixed(2),
      ];
    const head = ["in turns", "ms a step", "spread", "times our float32", "times our bfloat16"];
    const lines = [
      ...Object.entries(turns.ours).map(line("ours")),
      ...Object.entries(turns.torch).map(line("PyTorch")),
    ];
    console.log(`\n${markdown([head, ...lines])}`);
  }
  writeResults("train", machine, result, json);
}

/** The model, its optimizer and a batch. */
class Trainer implements Disposable {
  readonly #model: Encoder;
  readonly #optimizer: AdamW;
  readonly #batch: readonly [Tensor, Tensor, Tensor];

  constructor({ ids, targets }: HostTensors, precision: Precision) {
    this.#model = new Encoder(precision);
    this.#optimizer = new AdamW(this.#model.trainable(), { learningRate: 1e-4 });
    this.#batch = [
      tensor(ids!.data, { shape: ids!.shape, dtype: "int32" }),
      tensor(targets!.data, { shape: targets!.shape, dtype: "int32" }),
      tensor(Int32Array.from({ length }, (_, i) => i)),
    ];
  }

  /** Enqueues a step. */
  step(): void {
    tidy(() => {
      const { gradients } = valueAndGrad(this.#model.trainable(), () =>
        this.#model.loss(...this.#batch),
      );
      this.#optimizer.step(gradients, { clipNorm: 1 });
    });
  }

  [Symbol.dispose](): void {
    this.#model.dispose();
    this.#optimizer.dispose();
    for (const given of this.#batch) given.dispose();
  }
}

/** Step after step, as in training. */
async function timeSteps(trainer: Trainer, steps: number): Promise<Omit<TrainResult, "turns">> {
  const pacer = new Pacer();
  const busy: number[] = [];
  const ends: number[] = [];
  const delay = monitorEventLoopDelay({ resolution: 1 });
  for (let step = -warmups; step < steps; step++) {
    if (step === 0) {
      await pacer.finish();
      resetPeakMemory();
      delay.enable();
      ends.push(performance.now());
    }
    const begin = performance.now();
    trainer.step();
    if (step >= 0) busy.push(performance.now() - begin);
    await pacer.next();
    if (step >= 0) ends.push(performance.now());
  }
  await pacer.finish();
  delay.disable();
  const total = performance.now() - ends[0]!;
  const seconds = (milliseconds: readonly number[]) => timingOf(milliseconds.map((ms) => ms / 1e3));
  return {
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
}

/** A step of ours in each precision, one of each of PyTorch's paths, and again. */
async function timeTurns(
  trainers: Readonly<Record<Precision, Trainer>>,
  inputs: HostTensors,
  peer: TorchPeer,
): Promise<NonNullable<TrainResult["turns"]>> {
  const runs = await peer.prepare({
    inputs,
    paths: torchPaths,
    copies: 1,
    differentiable: [],
    root: 0,
  });
  const ours: Record<Precision, number[]> = { float32: [], bfloat16: [] };
  const precisions = ["float32", "bfloat16"] as const;
  const torch = runs.map((): number[] => []);
  for (const { run } of runs) await run("forward", 2);
  for (let i = 0; i < turnSamples; i++) {
    for (const precision of precisions) {
      await synchronize();
      const began = performance.now();
      trainers[precision].step();
      await synchronize();
      ours[precision].push((performance.now() - began) / 1e3);
    }
    for (const [k, { run }] of runs.entries()) torch[k]!.push(await run("forward", 1));
  }
  return {
    ours: { float32: timingOf(ours.float32), bfloat16: timingOf(ours.bfloat16) },
    torch: Object.fromEntries(runs.map(({ name }, k) => [name, timingOf(torch[k]!)])),
  };
}
