/**
 * Training steps of stage 1: the autoregressive encoder on items, genres and ratings, what its steps leave of the event
 * loop and take of memory, and PyTorch's in turns.
 *
 *     npm run bench -- stage1 [--steps N] [--threads N] [--python PATH] [--json FILE]
 */
import { execFile } from "node:child_process";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  cpuInfo,
  memory,
  Pacer,
  type Precision,
  resetPeakMemory,
  synchronize,
} from "../src/index.js";
import type { HostTensors, TorchPath } from "../test/cases/case.js";
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
import {
  batch,
  events,
  heads,
  layers,
  length,
  Trainer,
  values,
  width,
  widths,
} from "./stage1-trainer.js";
import { TorchPeer, type TorchRun } from "./torch-peer.js";

const precisions = ["float32", "bfloat16"] as const;

/** The same in bench/peers/models.py. */
const torchPaths = ["float32", "bfloat16 autocast"].flatMap((arithmetic) =>
  [false, true].map((compiled): TorchPath => {
    const options = [
      ...(arithmetic === "float32" ? [] : ["autocast=True"]),
      ...(compiled ? ["wrap=torch.compile"] : []),
    ];
    const tables = `${list(Object.values(values))}, ${list(Object.values(widths))}`;
    const model = `FeatureEncoder(${tables}, ${length}, ${width}, ${heads}, ${layers})`;
    const histories = list(Object.keys(values).map((name) => `${name}.long()`));
    return {
      name: `${arithmetic}${compiled ? ", compiled" : ""}`,
      setup:
        `(lambda model: dict(step=training_step(model, model.loss, [[${histories}]]` +
        `${options.map((option) => `, ${option}`).join("")})))(${model})`,
      expression: "step()",
    };
  }),
);

function list(parts: readonly (number | string)[]): string {
  return `[${parts.join(", ")}]`;
}

/** Of one precision, step after step. */
export interface Stage1Steps {
  /** Seconds from step to step. */
  step: Timing;
  /** Seconds that the JavaScript thread was busy with a step. */
  javascript: Timing;
  /** Histories that went through the model. */
  examplesPerSecond: number;
  /** How late a timer fired while training. */
  eventLoopDelayMs: { p50: number; p99: number; max: number };
  /** Of tensors, at the most. */
  peakMiB: number;
}

export interface Stage1Result {
  parameters: number;
  alone: Record<Precision, Stage1Steps>;
  /** Steps in turns with PyTorch's, each from beginning to end. */
  turns: { ours: Record<Precision, Timing>; torch: Record<string, Timing> } | undefined;
  /** By how much a process grows that does nothing but train, in MiB, by what it runs. */
  processMiB: Record<string, number>;
}

export interface Stage1Options {
  /** Timed, after five of warm-up. */
  steps: number;
  python?: string | undefined;
  json?: string | undefined;
}

const warmups = 5;
const mostTurns = 9;
const memorySteps = 3;
const memoryProgram = fileURLToPath(new URL("stage1-memory.ts", import.meta.url));

export async function benchStage1({ steps, python, json }: Stage1Options): Promise<void> {
  const ids = events();
  const peer = python ? await TorchPeer.start(python, cpuInfo().threads) : undefined;
  const machine = thisMachine(peer?.version);
  const result: Stage1Result = {
    parameters: parametersOf(ids),
    alone: {
      float32: await timeAlone(ids, "float32", steps),
      bfloat16: await timeAlone(ids, "bfloat16", steps),
    },
    turns:
      peer && (await timeTurns(ids, peer, Math.min(steps, mostTurns)).finally(() => peer.stop())),
    processMiB: await growth(ids, python),
  };
  console.log(describeMachine(machine));
  print(result);
  writeResults("stage1", machine, result, json);
}

function parametersOf(ids: HostTensors): number {
  using trainer = new Trainer(ids, "float32");
  return trainer.parameters;
}

/** Step after step, as in training. */
async function timeAlone(
  ids: HostTensors,
  precision: Precision,
  steps: number,
): Promise<Stage1Steps> {
  using trainer = new Trainer(ids, precision);
  const pacer = new Pacer();
  const busy: number[] = [];
  const ends: number[] = [];
  const delay = monitorEventLoopDelay({ resolution: 1 });
  for (let step = -warmups; step < steps; step++) {
    if (step === 0) {
      resetPeakMemory();
      delay.enable();
      ends.push(performance.now());
    }
    const begin = performance.now();
    trainer.step().dispose();
    if (step >= 0) busy.push(performance.now() - begin);
    await pacer.next();
    if (step >= 0) ends.push(performance.now());
  }
  delay.disable();
  await pacer.finish();
  const seconds = (milliseconds: readonly number[]) => timingOf(milliseconds.map((ms) => ms / 1e3));
  return {
    step: seconds(ends.slice(1).map((end, i) => end - ends[i]!)),
    javascript: seconds(busy),
    examplesPerSecond: (steps * batch) / ((ends.at(-1)! - ends[0]!) / 1e3),
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
  ids: HostTensors,
  peer: TorchPeer,
  samples: number,
): Promise<NonNullable<Stage1Result["turns"]>> {
  using float32 = new Trainer(ids, "float32");
  using bfloat16 = new Trainer(ids, "bfloat16");
  const trainers = { float32, bfloat16 };
  const runs = await peer.prepare(torchWork(ids, torchPaths));
  await requireSameLoss(ids, runs);
  const ours: Record<Precision, number[]> = { float32: [], bfloat16: [] };
  const torch = runs.map((): number[] => []);
  for (const { run } of runs) await run("forward", 2);
  for (const precision of precisions) trainers[precision].step().dispose();
  for (let i = 0; i < samples; i++) {
    for (const precision of precisions) {
      await synchronize();
      const began = performance.now();
      trainers[precision].step().dispose();
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

const torchWork = (inputs: HostTensors, paths: readonly TorchPath[]) => ({
  ...{ inputs, paths, copies: 1, differentiable: [], root: 0 },
});

/** The loss of a model that knows nothing is the same on both sides, or the two do different work. */
async function requireSameLoss(ids: HostTensors, runs: readonly TorchRun[]): Promise<void> {
  using trainer = new Trainer(ids, "float32");
  using loss = trainer.step();
  const ours = await loss.item();
  for (const { name, norm = Number.NaN } of runs)
    if (!(Math.abs(norm / ours - 1) < 0.02))
      throw new Error(`PyTorch, ${name}: the first loss is ${norm}, ours ${ours}`);
}

/** Every side trains in a process of its own; compiling takes memory of its own, so that PyTorch is eager here. */
async function growth(
  ids: HostTensors,
  python: string | undefined,
): Promise<Record<string, number>> {
  const grown: Record<string, number> = {};
  const note = (name: string, bytes: number | null) => {
    if (bytes !== null) grown[name] = bytes / 2 ** 20;
  };
  for (const precision of precisions) {
    const args = ["--import=tsx", memoryProgram, precision, String(memorySteps)];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    note(`ours, ${precision}`, JSON.parse(stdout) as number | null);
  }
  if (python === undefined) return grown;
  for (const path of torchPaths.filter(({ name }) => !name.includes("compiled"))) {
    const peer = await TorchPeer.start(python, cpuInfo().threads, { fast: false });
    try {
      const before = await peer.residentPeak();
      const [run] = await peer.prepare(torchWork(ids, [path]));
      await run?.run("forward", memorySteps);
      if (run) note(`PyTorch, ${path.name}`, (await peer.residentPeak()) - before);
    } finally {
      peer.stop();
    }
  }
  return grown;
}

function print({ parameters, alone, turns, processMiB }: Stage1Result): void {
  console.log(
    `${batch} users, ${length} events of ${Object.entries(values)
      .map(([name, count]) => `${count} ${name}s`)
      .join(", ")}; ${layers} blocks of width ${width}, ${heads} heads, ${parameters} parameters\n`,
  );
  const stepLines = precisions.map((precision) => {
    const {
      step,
      javascript,
      examplesPerSecond,
      eventLoopDelayMs: delay,
      peakMiB,
    } = alone[precision];
    return [
      ...[precision, milliseconds(step.median), examplesPerSecond.toFixed(0)],
      ...[milliseconds(javascript.median), delay.p99.toFixed(2), peakMiB.toFixed(0)],
    ];
  });
  console.log(
    markdown([
      [
        "ours, step after step",
        "ms",
        "examples/s",
        "JavaScript ms",
        "event loop p99 ms",
        "tensors MiB",
      ],
      ...stepLines,
    ]),
  );
  if (turns) console.log(`\n${markdown(turnLines(turns))}`);
  const memoryLines = Object.entries(processMiB).map(([name, mib]) => [name, mib.toFixed(0)]);
  console.log(`\n${markdown([["growth of the process", "MiB"], ...memoryLines])}`);
}

function turnLines({ ours, torch }: NonNullable<Stage1Result["turns"]>): string[][] {
  const line =
    (side: string) =>
    ([name, timing]: [string, Timing]): string[] => [
      ...[`${side}, ${name}`, milliseconds(timing.median), percent(timing.spread)],
      (batch / timing.median).toFixed(0),
      (timing.median / ours.float32.median).toFixed(2),
      (timing.median / ours.bfloat16.median).toFixed(2),
    ];
  return [
    ["in turns", "ms a step", "spread", "examples/s", "times our float32", "times our bfloat16"],
    ...Object.entries(ours).map(line("ours")),
    ...Object.entries(torch).map(line("PyTorch")),
  ];
}
