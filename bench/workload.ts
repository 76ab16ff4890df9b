/** Runs a piece of work again and again, in turns with what it is compared with, between measurements of the peak. */
import { performance } from "node:perf_hooks";
import { differentiate } from "../src/autograd/differentiate.js";
import {
  bytesPerElement,
  fromBFloat16,
  isFloat,
  measurePeak,
  memory,
  type Peak,
  resetPeakMemory,
  synchronize,
  type Tensor,
  tidy,
} from "../src/tensor/index.js";
import { viewOfTensor } from "../src/tensor/tensor.js";
import type { HostTensors, Tensors, TorchPath } from "../test/cases/case.js";
import { disposeAll, upload } from "../test/cases/inputs.js";
import { type Timing, timingOf } from "./report.js";
import type { Pass, TorchPeer, TorchRun } from "./torch-peer.js";

/** A public function on given inputs. */
export type Run = (given: Tensors<HostTensors>) => Tensor | readonly Tensor[];

export interface Workload {
  readonly inputs: HostTensors;
  readonly run: Run;
  /** Inputs that gradients are taken of. */
  readonly differentiable: readonly string[];
  /** Position of the output that they are gradients of. Default: the first floating-point one. */
  readonly root?: number | undefined;
  readonly torch: readonly TorchPath[];
  /** Of a forward run. */
  readonly flops: number;
  /** Read and written by a forward run. Default: inputs and outputs. */
  readonly bytes?: number | undefined;
  /** Other work of ours on the same inputs, by name. */
  readonly others?: Readonly<Record<string, Run>> | undefined;
}

/** Times of one pass: "backward" is forward with backward. */
export interface Measurement {
  /** Of one run, to the end of the stream. */
  ours: Timing;
  /** On the JavaScript thread. */
  callMicroseconds: number;
  /** Other work of ours, by name. */
  others: Record<string, Timing>;
  /** PyTorch, by path. */
  torch: Record<string, Timing>;
  /** Mean of before and after. */
  peak: Peak;
}

/**
 * Inputs are used in turns, so that they are not in the caches when their turn comes. Where arithmetic is what takes
 * the time (so many operations for a byte), as in products with a weight, there is one set of them, as in training.
 */
const coldBytes = 96 << 20;
const computeBound = 30;
const sampleSeconds = 0.02;
const trialSamples = 3;
const leastSamples = 7;
const mostSamples = 25;
/** For each of those that take turns. */
const turnsSeconds = 0.75;

/** A workload with its inputs on the device, and PyTorch's copies of them. */
export class Prepared {
  /** The ways that PyTorch can go. */
  torch: readonly TorchRun[] = [];
  readonly passes: readonly Pass[];
  /** Bytes that a forward run reads and writes. */
  readonly traffic: number;
  readonly #work: Workload;
  readonly #copies: readonly Tensors<HostTensors>[];
  /** Before anything ran. */
  readonly #heldBytes: number;
  readonly #outputs: readonly Tensor[];
  readonly #root: number;
  #turn = 0;

  static async of(work: Workload, peer: TorchPeer | undefined): Promise<Prepared> {
    await synchronize();
    const prepared = new Prepared(work);
    if (peer && work.torch.length > 0)
      prepared.torch = await peer.prepare({
        inputs: work.inputs,
        paths: work.torch,
        copies: prepared.#copies.length,
        differentiable: work.differentiable,
        root: Math.max(prepared.#root, 0),
      });
    return prepared;
  }

  private constructor(work: Workload) {
    const { inputs, differentiable, flops, root } = work;
    const bytes = Object.values(inputs).reduce(
      (total, { data, dtype }) =>
        total + data.length * bytesPerElement[dtype === "float" ? "float32" : dtype],
      0,
    );
    const count =
      flops > computeBound * bytes
        ? 1
        : Math.max(1, Math.min(64, Math.floor(coldBytes / (bytes || coldBytes))));
    this.#work = work;
    this.#copies = Array.from({ length: count }, () => upload(inputs, "float32"));
    this.#heldBytes = memory().bytes;
    this.#outputs = tidy(() => [work.run(this.#copies[0]!)].flat() as Tensor[]);
    this.#root = root ?? this.#outputs.findIndex(({ dtype }) => isFloat(dtype));
    this.passes =
      differentiable.length > 0 && this.#root >= 0 ? ["forward", "backward"] : ["forward"];
    this.traffic = work.bytes ?? bytes + bytesOf(this.#outputs);
  }

  /** The Euclidean norm of the root. */
  async norm(): Promise<number> {
    const raw = await this.#outputs[Math.max(this.#root, 0)]!.data();
    let squares = 0;
    for (const x of raw instanceof Uint16Array ? fromBFloat16(raw) : raw) squares += x * x;
    return Math.sqrt(squares);
  }

  /** What a run holds at most beyond its inputs, outputs and gradients; repacked weights count. */
  async scratchBytes(pass: Pass): Promise<number> {
    await synchronize();
    resetPeakMemory();
    const results = tidy(() => this.#results(pass, this.#work.run));
    const { peakBytes } = memory();
    const known = this.#heldBytes + bytesOf(this.#outputs) + bytesOf(results);
    disposeAll(results);
    return Math.max(0, peakBytes - known);
  }

  /** The path that PyTorch is fastest on. */
  async fastest(pass: Pass): Promise<TorchRun[]> {
    if (this.torch.length < 2) return [...this.torch];
    const turns = this.torch.map(
      ({ run }): Turn =>
        (runs) =>
          run(pass, runs),
    );
    const samples = await inTurns(turns, trialSamples, trialSamples);
    const best = samples.map((seconds) => Math.min(...seconds));
    return [this.torch[best.indexOf(Math.min(...best))]!];
  }

  /** Times ours, the others and `torch` in turns. */
  async measure(pass: Pass, torch: readonly TorchRun[]): Promise<Measurement> {
    const calls: number[] = [];
    const others = Object.entries(this.#work.others ?? {});
    const turns = [
      this.#timed(pass, this.#work.run, calls),
      ...others.map(([, run]) => this.#timed(pass, run)),
      ...torch.map(
        ({ run }): Turn =>
          (runs) =>
            run(pass, runs),
      ),
    ];
    const before = await measurePeak();
    const samples = await inTurns(turns, leastSamples, mostSamples);
    const after = await measurePeak();
    const [ours, ...rest] = samples.map(timingOf);
    const names = [...others.map(([name]) => name), ...torch.map(({ name }) => name)];
    const rivals = names.map((name, i): [string, Timing] => [name, rest[i]!]);
    return {
      ours: ours!,
      callMicroseconds: timingOf(calls.slice(-samples[0]!.length)).median * 1e6,
      others: Object.fromEntries(rivals.slice(0, others.length)),
      torch: Object.fromEntries(rivals.slice(others.length)),
      peak: {
        gflops: (before.gflops + after.gflops) / 2,
        bfloat16Gflops: (before.bfloat16Gflops + after.bfloat16Gflops) / 2,
        copyGBs: (before.copyGBs + after.copyGBs) / 2,
      },
    };
  }

  dispose(): void {
    disposeAll(this.#outputs);
    for (const given of this.#copies) disposeAll(Object.values(given));
  }

  #timed(pass: Pass, run: Run, calls: number[] = []): Turn {
    return async (runs) => {
      await synchronize();
      const began = performance.now();
      for (let i = 0; i < runs; i++) tidy(() => void this.#results(pass, run));
      calls.push((performance.now() - began) / 1e3 / runs);
      await synchronize();
      return (performance.now() - began) / 1e3 / runs;
    };
  }

  /** Outputs; in a backward pass, gradients. */
  #results(pass: Pass, run: Run): Tensor[] {
    const given = this.#copies[this.#turn++ % this.#copies.length]!;
    if (pass === "forward") return [run(given)].flat() as Tensor[];
    const output = this.#outputs[this.#root]!;
    const { gradients } = differentiate(
      this.#work.differentiable.map((name) => given[name]!),
      () => ({ result: undefined, root: ([run(given)].flat() as Tensor[])[this.#root]! }),
      () => viewOfTensor(output, output.shape),
    );
    return [...gradients.values()];
  }
}

const bytesOf = (tensors: readonly Tensor[]): number =>
  tensors.reduce((total, { size, dtype }) => total + size * bytesPerElement[dtype], 0);

/** Seconds of one run, on average over `runs`. */
type Turn = (runs: number) => Promise<number>;

/** Samples of each, taken in turns after warming up; a sample has as many runs as take a while. */
async function inTurns(turns: readonly Turn[], least: number, most: number): Promise<number[][]> {
  const runs: number[] = [];
  for (const turn of turns) {
    const first = await turn(1);
    const usual = first > 10 * sampleSeconds ? first : await turn(2);
    runs.push(Math.max(1, Math.min(2_000, Math.round(sampleSeconds / usual))));
    if (runs.at(-1)! > 1) await turn(runs.at(-1)!);
  }
  const samples: number[][] = turns.map(() => []);
  const until = performance.now() + turnsSeconds * turns.length * 1e3;
  for (let i = 0; i < least || (i < most && performance.now() < until); i++)
    for (const [k, turn] of turns.entries()) {
      // Before a short turn is timed: OpenMP's threads spin on for milliseconds after the other side's work, the caches
      // hold its data, and a processor that slept takes its time to wake up.
      if (runs[k]! > 1) await turn(runs[k]!);
      samples[k]!.push(await turn(runs[k]!));
    }
  return samples;
}
