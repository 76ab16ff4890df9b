/**
 * Language models: reading prompts, decoding tokens, training adapters; the time and memory of each, PyTorch's in turns.
 *
 *     npm run bench -- llm [--quick] [--filter TEXT] [--threads N] [--python PATH] [--json FILE]
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { cpuInfo, measurePeak, type Peak } from "../src/index.js";
import type { Decoder } from "../src/models/index.js";
import type { TorchPath } from "../test/cases/case.js";
import {
  adapterStep,
  type Dtype,
  decode,
  decoded,
  makeDecoder,
  prefill,
  promptLength,
  type Size,
  sizes,
  type Work,
} from "./llm-work.js";
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
import { TorchPeer, type TorchRun } from "./torch-peer.js";

/** What is timed, of each size in each dtype. */
interface Task {
  readonly name: string;
  /** Tokens that a run goes through. */
  readonly tokens: number;
  /** Times PyTorch's speed that it should reach at least. */
  readonly bar: Record<Dtype, number>;
  make(decoder: Decoder): Work | Promise<Work>;
  /** In bench/peers/language.py. */
  readonly torch: (size: Size, dtype: Dtype) => TorchPath[];
  /** Floating-point operations of a run, or the bytes that it cannot but read: whichever limits it. */
  flops?(size: Size): number;
  bytes?(size: Size, dtype: Dtype): number;
}

export interface TaskResult {
  readonly size: Size;
  readonly dtype: Dtype;
  readonly task: string;
  readonly ours: Timing;
  readonly tokensPerSecond: number;
  /** Of the machine's arithmetic in the dtype, or of its copying. */
  readonly shareOfPeak: number;
  readonly torch: Record<string, Timing>;
  readonly bar: number;
}

/** By how much a process grows that does nothing else, in MiB. */
export interface MemoryResult {
  readonly size: Size;
  readonly dtype: Dtype;
  readonly task: string;
  readonly oursMiB: number | undefined;
  readonly torchMiB: number | undefined;
}

export interface LlmOptions {
  /** Only tasks whose "size · dtype · task" contains it. */
  filter: string;
  /** The small model and fewer samples. */
  quick: boolean;
  python?: string | undefined;
  json?: string | undefined;
}

const promptLengths = [32, 700, 2_500] as const;
const batches = [1, 16] as const;
const [sequences, sequenceLength] = [8, 128];
const memoryProgram = fileURLToPath(new URL("llm-memory.ts", import.meta.url));
const dtypes = ["float32", "bfloat16"] as const;
/** Samples are taken until a task has had this long, at least so many. */
const [turnsSeconds, leastSamples, mostSamples] = [6, 3, 15];

const python = { float32: "torch.float32", bfloat16: "torch.bfloat16" };
const torchPath = (name: string, call: string): TorchPath => ({
  name,
  setup: `dict(step=${call})`,
  expression: "step()",
});
const idsInTorch = (batch: number, length: number): string =>
  `(torch.arange(${batch * length}) * 7919 % 32000).reshape(${batch}, ${length})`;

/** Eager and compiled. */
const torchPaths = (call: string, ...rest: string[]) => {
  return (size: Size, dtype: Dtype): TorchPath[] =>
    (["False", "True"] as const).map((compiled) =>
      torchPath(
        `${dtype}${compiled === "True" ? ", compiled" : ""}`,
        `${call}(${[`"${size}"`, python[dtype], compiled, ...rest].join(", ")})`,
      ),
    );
};

const tasks: readonly Task[] = [
  ...promptLengths.map(
    (tokens): Task => ({
      ...{ name: `prefill of ${tokens}`, tokens, bar: { float32: 1.2, bfloat16: 1.4 } },
      make: (decoder) => prefill(decoder, tokens),
      torch: torchPaths("prefill", idsInTorch(1, tokens)),
      flops: (size) =>
        2 * (tokens * layerWeights(size) + headWeights(size)) + attended(size, tokens),
    }),
  ),
  ...batches.map(
    (batch): Task => ({
      name: `decoding, batch ${batch}`,
      ...{ tokens: batch * decoded, bar: { float32: 2, bfloat16: 2 } },
      make: (decoder) => decode(decoder, batch),
      torch: torchPaths("decode", idsInTorch(batch, promptLength), String(decoded)),
      bytes: (size, dtype) =>
        decoded * (layerWeights(size) + headWeights(size)) * (dtype === "float32" ? 4 : 2),
    }),
  ),
  {
    name: "training adapters",
    ...{ tokens: sequences * sequenceLength, bar: { float32: 1.3, bfloat16: 1.3 } },
    make: (decoder) => adapterStep(decoder, sequences, sequenceLength),
    torch: (size, dtype) => [
      ...trainingPaths(size, dtype),
      ...(dtype === "bfloat16"
        ? trainingPaths(size, "float32", ", autocast=True").map((path) => ({
            ...path,
            name: path.name.replace("float32", "bfloat16 autocast"),
          }))
        : []),
    ],
    // Frozen weights have no gradients; the head is multiplied with once more than they are.
    flops: (size) =>
      2 * sequences * sequenceLength * (2 * layerWeights(size) + 2 * headWeights(size)),
  },
];

function trainingPaths(size: Size, dtype: Dtype, more = ""): TorchPath[] {
  const ids = idsInTorch(sequences, sequenceLength);
  return torchPaths("adapter_step", ids, `${ids}.roll(-1)${more}`)(size, dtype);
}

/** Elements of the layers' matrices. */
function layerWeights(size: Size): number {
  const { layers, width, heads, kvHeads, hiddenWidth } = sizes[size];
  return layers * width * (2 * width + (2 * width * kvHeads) / heads + 3 * hiddenWidth);
}

const headWeights = (size: Size): number => sizes[size].width * sizes[size].vocabulary;

/** Operations of causal attention. */
const attended = (size: Size, tokens: number): number =>
  2 * sizes[size].layers * sizes[size].width * tokens * (tokens + 1);

export async function benchLlm({ filter, quick, python, json }: LlmOptions): Promise<void> {
  const peer = python ? await TorchPeer.start(python, cpuInfo().threads) : undefined;
  const machine = thisMachine(peer?.version);
  console.log(describeMachine(machine));
  const wanted = wantedTasks(filter, quick);
  const results: TaskResult[] = [];
  try {
    for (const { size, dtype, tasks } of wanted)
      for (const task of tasks) {
        results.push(await timeTask(size, dtype, task, peer, quick));
        console.error(describeResult(results.at(-1)!));
      }
  } finally {
    peer?.stop();
  }
  const memory: MemoryResult[] = [];
  for (const { size, dtype, tasks } of wanted)
    for (const task of tasks.filter(({ name }) => memoryTasks.has(name)))
      memory.push(await growth(size, dtype, task, python));
  console.log(markdown([resultHeader, ...results.map(resultLine)]));
  console.log(`\n${markdown([memoryHeader, ...memory.map(memoryLine)])}`);
  if (json !== undefined || (filter === "" && !quick))
    writeResults("llm", machine, { tasks: results, memory }, json);
}

/** Whose processes are looked at: the most that inference needs, and training. */
const memoryTasks = new Set(["prefill of 2500", "decoding, batch 1", "training adapters"]);

function wantedTasks(filter: string, quick: boolean) {
  return (quick ? (["15M"] as const) : (Object.keys(sizes) as Size[])).flatMap((size) =>
    dtypes.flatMap((dtype) => {
      const wanted = tasks.filter(({ name }) => `${size} · ${dtype} · ${name}`.includes(filter));
      return wanted.length > 0 ? [{ size, dtype, tasks: wanted }] : [];
    }),
  );
}

/** A run of ours, one of each of PyTorch's paths, and again. */
async function timeTask(
  size: Size,
  dtype: Dtype,
  task: Task,
  peer: TorchPeer | undefined,
  quick: boolean,
): Promise<TaskResult> {
  using decoder = makeDecoder(size, dtype);
  using work = await task.make(decoder);
  const paths = task.torch(size, dtype);
  const runs = peer
    ? await peer.prepare({ inputs: {}, paths, copies: 1, differentiable: [], root: 0 })
    : [];
  await requireSameResult(`${size} · ${dtype} · ${task.name}`, work, runs);
  const turns = [
    () => timed(work),
    ...runs.map(
      ({ run }) =>
        () =>
          run("forward", 1),
    ),
  ];
  for (const turn of turns) await turn();
  const before = await measurePeak();
  const samples = turns.map((): number[] => []);
  const until = performance.now() + turnsSeconds * 1e3;
  const isEnough = (taken: number) =>
    taken >= (quick ? leastSamples : mostSamples) ||
    (taken >= leastSamples && performance.now() > until);
  while (!isEnough(samples[0]!.length))
    for (const [k, turn] of turns.entries()) {
      // Untimed: threads that spin on after the other side's work, and processors that slept.
      if (Math.min(...samples[k]!) < 0.2) await turn();
      samples[k]!.push(await turn());
    }
  const [ours, ...others] = samples.map(timingOf) as [Timing, ...Timing[]];
  return {
    ...{ size, dtype, task: task.name, ours, bar: task.bar[dtype] },
    tokensPerSecond: task.tokens / ours.median,
    shareOfPeak: shareOfPeak(size, dtype, task, ours.median, [before, await measurePeak()]),
    torch: Object.fromEntries(runs.map(({ name }, k) => [name, others[k]!])),
  };
}

async function timed(work: Work): Promise<number> {
  const began = performance.now();
  const result = await work.run();
  const seconds = (performance.now() - began) / 1e3;
  result.dispose();
  return seconds;
}

/** Weights differ, but logits of random weights have a norm, and an untrained model a loss, that depends on the shape. */
async function requireSameResult(name: string, work: Work, runs: readonly TorchRun[]) {
  using result = await work.run();
  let squares = 0;
  for (const x of (await result.data()) as Float32Array) squares += x * x;
  const ours = Math.sqrt(squares);
  for (const { name: path, norm = Number.NaN } of runs)
    if (!(Math.abs(norm / ours - 1) < 0.05))
      throw new Error(`${name}: PyTorch, ${path}, has ${norm}, ours is ${ours}`);
}

function shareOfPeak(
  size: Size,
  dtype: Dtype,
  { flops, bytes }: Task,
  seconds: number,
  peaks: readonly Peak[],
): number {
  const mean = (of: (peak: Peak) => number) =>
    peaks.reduce((sum, peak) => sum + of(peak), 0) / peaks.length;
  const gflops = mean((peak) => (dtype === "float32" ? peak.gflops : peak.bfloat16Gflops));
  return flops
    ? flops(size) / seconds / 1e9 / gflops
    : bytes!(size, dtype) / seconds / 1e9 / mean(({ copyGBs }) => copyGBs);
}

/** Every side runs in a process of its own; compiling takes memory of its own, so that PyTorch is eager here. */
async function growth(
  size: Size,
  dtype: Dtype,
  task: Task,
  python: string | undefined,
): Promise<MemoryResult> {
  const args = ["--import=tsx", memoryProgram, size, dtype, String(tasks.indexOf(task))];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const ours = JSON.parse(stdout) as number | null;
  const torch = python === undefined ? undefined : await torchGrowth(size, dtype, task, python);
  return {
    ...{ size, dtype, task: task.name },
    oursMiB: ours === null ? undefined : ours / 2 ** 20,
    torchMiB: torch === undefined ? undefined : torch / 2 ** 20,
  };
}

async function torchGrowth(
  size: Size,
  dtype: Dtype,
  task: Task,
  python: string,
): Promise<number | undefined> {
  const peer = await TorchPeer.start(python, cpuInfo().threads, { fast: false });
  try {
    const before = await peer.residentPeak();
    const paths = task.torch(size, dtype).slice(0, 1);
    const [run] = await peer.prepare({
      ...{ inputs: {}, paths, copies: 1, differentiable: [], root: 0 },
    });
    await run?.run("forward", 1);
    return run && (await peer.residentPeak()) - before;
  } finally {
    peer.stop();
  }
}

/** One of the tasks, for a process of its own. */
export const taskWork = (task: number, decoder: Decoder): Work | Promise<Work> =>
  tasks[task]!.make(decoder);

const resultHeader = [
  ...["model", "dtype", "task", "ms", "min", "spread", "tokens/s", "of peak"],
  ...["PyTorch ms", "path", "times faster", "bar"],
];

function resultLine({ size, dtype, task, ours, tokensPerSecond, ...result }: TaskResult): string[] {
  const best = Object.entries(result.torch).sort(([, a], [, b]) => a.median - b.median)[0];
  return [
    ...[size, dtype, task, milliseconds(ours.median), milliseconds(ours.min)],
    ...[percent(ours.spread), tokensPerSecond.toFixed(0), percent(result.shareOfPeak)],
    ...(best
      ? [milliseconds(best[1].median), best[0], (best[1].median / ours.median).toFixed(2)]
      : ["", "", ""]),
    result.bar.toFixed(1),
  ];
}

const describeResult = (result: TaskResult): string => resultLine(result).join("  ");

const memoryHeader = ["growth of the process", "dtype", "task", "ours MiB", "PyTorch MiB", "share"];

function memoryLine({ size, dtype, task, oursMiB, torchMiB }: MemoryResult): string[] {
  return [
    ...[size, dtype, task, oursMiB?.toFixed(0) ?? "", torchMiB?.toFixed(0) ?? ""],
    oursMiB && torchMiB ? (oursMiB / torchMiB).toFixed(2) : "",
  ];
}
