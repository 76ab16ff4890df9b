/** Times the bench cases of test/cases: forward, and forward with backward; PyTorch in turns. */
import { performance } from "node:perf_hooks";
import { differentiate } from "../src/autograd/differentiate.js";
import {
  cpuInfo,
  isFloat,
  measurePeak,
  type Peak,
  synchronize,
  type Tensor,
  tidy,
} from "../src/tensor/index.js";
import { viewOfTensor } from "../src/tensor/tensor.js";
import type { CaseList, CaseOptions, HostTensors, Tensors } from "../test/cases/case.js";
import {
  differentiableInputs,
  disposeAll,
  inputsOf,
  loadCases,
  upload,
} from "../test/cases/inputs.js";
import { printTable, type Timing, thisMachine, timingOf, writeResults } from "./report.js";
import { TorchPeer } from "./torch-peer.js";

export interface OpsOptions {
  filter: string;
  python?: string | undefined;
  json?: string | undefined;
}

export interface OpResult {
  case: string;
  pass: "forward" | "backward";
  /** Of one run, to the end of the stream. */
  ours: Timing;
  /** On the JavaScript thread. */
  callMicroseconds: number;
  gflops: number | undefined;
  gigabytesPerSecond: number;
  /** Of the nearer ceiling that was measured before and after. */
  shareOfPeak: number;
  torch: Timing | undefined;
  peak: Peak;
}

/**
 * Inputs are used in turns, so that they are not in the caches when their turn comes. Where arithmetic is what takes
 * the time (so many operations for a byte), as in products with a weight, there is one set of them, as in training.
 */
const coldBytes = 96 << 20;
const computeBound = 30;
const sampleSeconds = 0.02;
const leastSamples = 7;
const mostSamples = 25;
const caseSeconds = 1.5;

export async function benchOps({ filter, python, json }: OpsOptions): Promise<void> {
  const peer = python ? await TorchPeer.start(python, cpuInfo().threads) : undefined;
  const machine = thisMachine(peer?.version);
  const results: OpResult[] = [];
  try {
    for (const list of await loadCases())
      for (const options of list.shapes)
        if (options.bench && `${list.op} · ${options.name}`.includes(filter)) {
          console.error(`${list.op} · ${options.name}`);
          results.push(...(await benchCase(list, options, peer)));
        }
  } finally {
    peer?.stop();
  }
  printTable(machine, results);
  if (json || !filter) writeResults("ops", machine, results, json);
}

async function benchCase(
  list: CaseList,
  options: CaseOptions,
  peer: TorchPeer | undefined,
): Promise<OpResult[]> {
  const inputs = inputsOf(list, options)!;
  const bytes = Object.values(inputs).reduce(
    (total, { data, dtype }) => total + data.length * (dtype === "uint8" ? 1 : 4),
    0,
  );
  const work = { flops: 0, ...list.spec.work?.(options) };
  const count =
    work.flops > computeBound * bytes
      ? 1
      : Math.max(1, Math.min(64, Math.floor(coldBytes / (bytes || coldBytes))));
  const copies = Array.from({ length: count }, () => upload(inputs, "float32"));
  const probe = tidy(() => [list.spec.run(copies[0]!, options)].flat() as Tensor[]);
  const root = list.spec.differentiableOutputs
    ? (list.spec.differentiableOutputs[0] ?? -1)
    : probe.findIndex(({ dtype }) => isFloat(dtype));
  const names = differentiableInputs(list, inputs);
  const traffic = bytes + probe.reduce((total, { size }) => total + 4 * size, 0);
  const torch = list.spec.torch?.(options);
  if (peer && torch) await peer.prepare(inputs, torch, count, names, Math.max(root, 0));

  const forward = (given: Tensors<HostTensors>): void =>
    tidy(() => void list.spec.run(given, options));
  const backward = (given: Tensors<HostTensors>): void =>
    tidy(
      () =>
        void differentiate(
          names.map((name) => given[name]!),
          () => {
            const outputs = [list.spec.run(given, options)].flat() as Tensor[];
            return { result: undefined, root: outputs[root]! };
          },
          () => viewOfTensor(probe[root]!, probe[root]!.shape),
        ),
    );
  const results: OpResult[] = [];
  for (const pass of ["forward", "backward"] as const) {
    if (pass === "backward" && (names.length === 0 || root < 0)) continue;
    const run = pass === "forward" ? forward : backward;
    const rival = peer && torch ? (n: number) => peer.run(pass, n) : undefined;
    const before = await measurePeak();
    const { ours, calls, theirs } = await sample((i) => run(copies[i % count]!), rival);
    const after = await measurePeak();
    const peak = {
      gflops: (before.gflops + after.gflops) / 2,
      copyGBs: (before.copyGBs + after.copyGBs) / 2,
    };
    const timing = timingOf(ours);
    const gflops = work.flops / timing.median / 1e9;
    const gigabytesPerSecond = (work.bytes ?? traffic) / timing.median / 1e9;
    results.push({
      case: `${list.op} · ${options.name}`,
      pass,
      ours: timing,
      callMicroseconds: timingOf(calls).median * 1e6,
      gflops: work.flops && pass === "forward" ? gflops : undefined,
      gigabytesPerSecond: pass === "forward" ? gigabytesPerSecond : Number.NaN,
      shareOfPeak:
        pass === "forward"
          ? Math.max(gflops / peak.gflops, gigabytesPerSecond / peak.copyGBs)
          : Number.NaN,
      torch: theirs && timingOf(theirs),
      peak,
    });
  }
  disposeAll(probe);
  for (const given of copies) disposeAll(Object.values(given));
  return results;
}

/** Seconds of one run in several samples: ours, on the JavaScript thread, and the rival's in between. */
async function sample(
  run: (i: number) => void,
  rival: ((runs: number) => Promise<number>) | undefined,
): Promise<{ ours: number[]; calls: number[]; theirs: number[] | undefined }> {
  let turn = 0;
  const measure = async (runs: number): Promise<{ total: number; call: number }> => {
    await synchronize();
    const began = performance.now();
    for (let i = 0; i < runs; i++) run(turn++);
    const called = performance.now();
    await synchronize();
    return { total: (performance.now() - began) / 1e3 / runs, call: (called - began) / 1e3 / runs };
  };
  await measure(1);
  const first = (await measure(2)).total;
  const runs = Math.max(1, Math.min(2_000, Math.round(sampleSeconds / first)));
  await measure(runs);
  await rival?.(Math.min(3, runs));

  const ours: number[] = [];
  const calls: number[] = [];
  const theirs: number[] | undefined = rival && [];
  const until = performance.now() + caseSeconds * 1e3;
  while (ours.length < leastSamples || (ours.length < mostSamples && performance.now() < until)) {
    const { total, call } = await measure(runs);
    ours.push(total);
    calls.push(call);
    if (rival) theirs!.push(await rival(runs));
  }
  return { ours, calls, theirs };
}
