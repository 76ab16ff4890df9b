/** Times the bench cases of test/cases: forward, and forward with backward; PyTorch in turns. */
import { cpuInfo, type Peak } from "../src/tensor/index.js";
import type { CaseList, CaseOptions, TorchPath } from "../test/cases/case.js";
import { differentiableInputs, inputsOf, loadCases } from "../test/cases/inputs.js";
import { printOps, type Timing, thisMachine, writeResults } from "./report.js";
import { type Pass, TorchPeer } from "./torch-peer.js";
import { Prepared } from "./workload.js";

export interface OpsOptions {
  filter: string;
  python?: string | undefined;
  json?: string | undefined;
}

export interface OpResult {
  case: string;
  pass: Pass;
  /** Of one run, to the end of the stream. */
  ours: Timing;
  /** On the JavaScript thread. */
  callMicroseconds: number;
  gflops: number | undefined;
  gigabytesPerSecond: number;
  /** Of the nearer ceiling that was measured before and after. */
  shareOfPeak: number;
  /** On its fastest path. */
  torch: Timing | undefined;
  /** The name of that path. */
  torchPath: string | undefined;
  peak: Peak;
}

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
  printOps(machine, results);
  if (json || !filter) writeResults("ops", machine, results, json);
}

async function benchCase(
  list: CaseList,
  options: CaseOptions,
  peer: TorchPeer | undefined,
): Promise<OpResult[]> {
  const { spec, op } = list;
  const inputs = inputsOf(list, options)!;
  const { flops = 0, bytes, arithmetic } = spec.work?.(options) ?? {};
  const prepared = await Prepared.of(
    {
      inputs,
      run: (given) => spec.run(given, options),
      differentiable: differentiableInputs(list, inputs).filter(
        (name) => !spec.frozen?.includes(name),
      ),
      root: spec.differentiableOutputs && (spec.differentiableOutputs[0] ?? -1),
      torch: [spec.torch?.(options) ?? []].flat().map(torchPath),
      flops,
      bytes,
    },
    peer,
  );
  const results: OpResult[] = [];
  for (const pass of prepared.passes) {
    const measured = await prepared.measure(pass, await prepared.fastest(pass));
    const { ours, callMicroseconds, peak } = measured;
    const [torch] = Object.entries(measured.torch);
    const gflops = flops / ours.median / 1e9;
    const ceiling = arithmetic === "bfloat16" ? peak.bfloat16Gflops : peak.gflops;
    const gigabytesPerSecond = prepared.traffic / ours.median / 1e9;
    const forward = pass === "forward";
    results.push({
      case: `${op} · ${options.name}`,
      pass,
      ours,
      callMicroseconds,
      gflops: flops && forward ? gflops : undefined,
      gigabytesPerSecond: forward ? gigabytesPerSecond : Number.NaN,
      shareOfPeak: forward
        ? Math.max(gflops / ceiling, gigabytesPerSecond / peak.copyGBs)
        : Number.NaN,
      torch: torch?.[1],
      torchPath: torch?.[0],
      peak,
    });
  }
  prepared.dispose();
  return results;
}

/** An expression is a path that runs eagerly. */
const torchPath = (path: string | TorchPath): TorchPath =>
  typeof path === "string" ? { name: "eager", expression: path } : path;
