/**
 * The figures that the fused ops are held to, each beside its bar: times in turns with PyTorch's ways of doing the same,
 * shares of the peak measured before and after, bytes of scratch.
 */
import { linear, linearCrossEntropy, loraLinear, selfAttention } from "../src/ops/index.js";
import { cpuInfo, type Peak } from "../src/tensor/index.js";
import type { HostTensors, Random, TorchPath } from "../test/cases/case.js";
import { hostRandom } from "../test/cases/random-host.js";
import {
  describeMachine,
  markdown,
  milliseconds,
  passName,
  percent,
  type Timing,
  thisMachine,
  writeResults,
} from "./report.js";
import { type Pass, TorchPeer } from "./torch-peer.js";
import { Prepared, type Run } from "./workload.js";

export interface FusedOptions {
  filter: string;
  python?: string | undefined;
  json?: string | undefined;
}

/** What a bar is about. */
interface Figures {
  /** Time of PyTorch's fastest path over ours. */
  timesPyTorch: number | undefined;
  /** Of the arithmetic peak in the dtype of the work. */
  shareOfPeak: number | undefined;
  /** Megabytes beyond inputs, outputs and gradients; repacked weights count. */
  scratchMB: number;
  /** Our time over that of a frozen linear layer alone. */
  timesFrozen: number | undefined;
}

interface Bar {
  readonly figure: keyof Figures;
  readonly atLeast?: number;
  readonly atMost?: number;
}

interface Work {
  readonly name: string;
  inputs(random: Random): HostTensors;
  readonly run: Run;
  readonly differentiable: readonly string[];
  readonly torch: readonly TorchPath[];
  readonly arithmetic: "float32" | "bfloat16";
  /** The passes that are measured. */
  readonly passes: Partial<Record<Pass, { flops: number; bars: readonly Bar[] }>>;
  /** Our frozen linear layer alone, for `timesFrozen`. */
  readonly frozen?: Run;
}

export interface FusedResult {
  work: string;
  pass: Pass;
  ours: Timing;
  gflops: number;
  figures: Figures;
  bars: readonly (Bar & { met: boolean | undefined })[];
  torch: Record<string, Timing>;
  frozen: Timing | undefined;
  peak: Peak;
}

/** Share by which the norms of results may differ; beyond it a path computes something else, or too roughly. */
const mostlyEqual = 0.02;

export async function benchFused({ filter, python, json }: FusedOptions): Promise<void> {
  const peer = python ? await TorchPeer.start(python, cpuInfo().threads) : undefined;
  const machine = thisMachine(peer?.version);
  const results: FusedResult[] = [];
  try {
    for (const work of works)
      if (work.name.includes(filter)) results.push(...(await benchWork(work, peer)));
  } finally {
    peer?.stop();
  }
  console.log(`${describeMachine(machine)}\n`);
  console.log(markdown(barLines(results)));
  if (peer) console.log(`\n${markdown(pathLines(results))}`);
  if (json || !filter) writeResults("fused", machine, results, json);
}

async function benchWork(work: Work, peer: TorchPeer | undefined): Promise<FusedResult[]> {
  const passes = Object.entries(work.passes) as [Pass, { flops: number; bars: readonly Bar[] }][];
  const prepared = await Prepared.of(
    {
      inputs: work.inputs(hostRandom(work.name)),
      run: work.run,
      differentiable: work.differentiable,
      torch: work.torch,
      flops: Math.max(...passes.map(([, { flops }]) => flops)),
      others: work.frozen && { frozen: work.frozen },
    },
    peer,
  );
  const norm = await prepared.norm();
  const torch = prepared.torch.filter(({ name, norm: theirs = Number.NaN }) => {
    const agrees = Math.abs(theirs - norm) <= mostlyEqual * norm;
    if (!agrees)
      console.error(`${work.name}: left out PyTorch, ${name}: norm ${theirs}, ours is ${norm}`);
    return agrees;
  });

  const results: FusedResult[] = [];
  for (const [pass, { flops, bars }] of passes) {
    console.error(`${work.name} · ${passName(pass)}`);
    const scratchMB = (await prepared.scratchBytes(pass)) / 1e6;
    const measured = await prepared.measure(pass, torch);
    const { ours, others, peak } = measured;
    const gflops = flops / ours.median / 1e9;
    const best = Math.min(...Object.values(measured.torch).map(({ median }) => median));
    const ceiling = work.arithmetic === "float32" ? peak.gflops : peak.bfloat16Gflops;
    const figures: Figures = {
      timesPyTorch: best < Infinity ? best / ours.median : undefined,
      shareOfPeak: gflops / ceiling,
      scratchMB,
      timesFrozen: others.frozen && ours.median / others.frozen.median,
    };
    results.push({
      work: work.name,
      pass,
      ours,
      gflops,
      figures,
      bars: bars.map((bar) => ({ ...bar, met: isMet(bar, figures) })),
      torch: measured.torch,
      frozen: others.frozen,
      peak,
    });
  }
  prepared.dispose();
  return results;
}

/** `undefined` where there is nothing to compare with. */
function isMet({ figure, atLeast = -Infinity, atMost = Infinity }: Bar, figures: Figures) {
  const value = figures[figure];
  return value === undefined ? undefined : value >= atLeast && value <= atMost;
}

/** A table of what is held to a bar. */
const barLines = (results: readonly FusedResult[]): string[][] => [
  ["work", "pass", "ms", "GFLOP/s", "bar", "measured", ""],
  ...results.flatMap(({ work, pass, ours, gflops, figures, bars }) =>
    bars.map((bar) => {
      const { figure, atLeast, atMost, met } = bar;
      const { text, unit } = printed[figure];
      const value = figures[figure];
      return [
        work,
        passName(pass),
        milliseconds(ours.median),
        gflops.toFixed(0),
        atLeast === undefined ? `≤ ${text(atMost!)} ${unit}` : `≥ ${text(atLeast)} ${unit}`,
        value === undefined ? "" : text(value),
        met === undefined ? "" : met ? "met" : "falls short",
      ];
    }),
  ),
];

const printed: Record<keyof Figures, { text(value: number): string; unit: string }> = {
  timesPyTorch: { text: (value) => value.toFixed(2), unit: "times PyTorch's best" },
  shareOfPeak: { text: percent, unit: "of the peak" },
  scratchMB: { text: (value) => value.toFixed(1), unit: "MB of scratch" },
  timesFrozen: { text: (value) => value.toFixed(3), unit: "times the frozen layer" },
};

/** A table of PyTorch's paths. */
const pathLines = (results: readonly FusedResult[]): string[][] => [
  ["work", "pass", "PyTorch", "ms", "spread", "times ours"],
  ...results.flatMap(({ work, pass, ours, torch }) =>
    Object.entries(torch).map(([path, { median, spread }]) => [
      work,
      passName(pass),
      path,
      milliseconds(median),
      percent(spread),
      (median / ours.median).toFixed(2),
    ]),
  ),
];

const works: readonly Work[] = [
  attentionWork({
    name: "attention, 128 x 8 heads of 16, length 50, causal",
    batch: 128,
    length: 50,
    heads: 8,
    headWidth: 16,
    bars: { forward: 5, backward: 4 },
  }),
  attentionWork({
    name: "attention, 8 heads of 64, length 2,048, causal",
    batch: 1,
    length: 2_048,
    heads: 8,
    headWidth: 64,
    bars: { forward: 1.2, backward: 1.2 },
  }),
  linearCrossEntropyWork("float32", 0.75),
  linearCrossEntropyWork("bfloat16", 0.65),
  bfloat16LinearWork("float32"),
  bfloat16LinearWork("bfloat16"),
  loraWork(),
];

interface AttentionShape {
  name: string;
  batch: number;
  length: number;
  heads: number;
  headWidth: number;
  /** Least times PyTorch's best. */
  bars: Record<Pass, number>;
}

/** Ours reads queries, keys and values where their projection puts them; PyTorch has them apart, in the order it likes. */
function attentionWork({ name, batch, length, heads, headWidth, bars }: AttentionShape): Work {
  const product = batch * heads * length * (length + 1) * headWidth; // one of two forward, of five backward
  const setup =
    `dict(zip(("query", "key", "value"), ` +
    `(x.transpose(1, 2).contiguous() for x in packed.unflatten(2, (3, ${heads})).unbind(2))))`;
  const backends = ["FLASH_ATTENTION", "MATH"].flatMap((backend): TorchPath[] => {
    const path = { expression: `attention(query, key, value, "${backend}")`, setup };
    const short = backend.toLowerCase().replace("_attention", "");
    return [
      { name: short, ...path },
      { name: `${short}, compiled`, ...path, compiled: true },
    ];
  });
  const composed = { expression: "composed_attention(query, key, value)", setup };
  return {
    name,
    inputs: (random) => ({ packed: random.normal([batch, length, 3 * heads, headWidth]) }),
    run: ({ packed }) => selfAttention(packed!, { causal: true }),
    differentiable: ["packed"],
    torch: [
      ...backends,
      { name: "composed", ...composed },
      { name: "composed, compiled", ...composed, compiled: true },
    ],
    arithmetic: "float32",
    passes: {
      forward: { flops: 2 * product, bars: [{ figure: "timesPyTorch", atLeast: bars.forward }] },
      backward: { flops: 7 * product, bars: [{ figure: "timesPyTorch", atLeast: bars.backward }] },
    },
  };
}

/** The softmax over all items of stage 1. */
function linearCrossEntropyWork(arithmetic: "float32" | "bfloat16", share: number): Work {
  const [tokens, width, items] = [6_400, 128, 26_744];
  const eager = "linear_cross_entropy(x, weight, targets.long())";
  const ways = [
    { name: "eager", expression: eager },
    { name: "compiled", expression: eager, compiled: true },
    { name: "chunked", expression: `chunked_${eager}` },
  ];
  return {
    name: `linear + cross-entropy, 6,400 x 128 x 26,744, ${arithmetic}`,
    inputs: (random) => ({
      x: random.normal([tokens, width]),
      weight: random.normal([items, width], width ** -0.5),
      targets: random.integers([tokens], items),
    }),
    run: ({ x, weight, targets }) =>
      linearCrossEntropy(x!, weight!, targets!, { precision: arithmetic }),
    differentiable: ["x", "weight"],
    torch:
      arithmetic === "float32"
        ? ways
        : (["autocast", "bfloat16"] as const).flatMap((precision) =>
            ways.map((way) => ({ ...way, name: `${way.name}, ${precision}`, precision })),
          ),
    arithmetic,
    passes: {
      backward: {
        // Counted as four products: scores, the same again, the gradients of both operands.
        flops: 4 * 2 * tokens * width * items,
        bars: [
          { figure: "shareOfPeak", atLeast: share },
          { figure: "scratchMB", atMost: 64 },
        ],
      },
    },
  };
}

/** A linear layer with operands in bfloat16; the input and the result are `dtype`. */
function bfloat16LinearWork(dtype: "float32" | "bfloat16"): Work {
  const [rows, width] = [2_048, 576];
  const expression = "F.linear(x, weight)";
  return {
    name: `linear, 2,048 x 576 x 576, operands bfloat16, input and result ${dtype}`,
    inputs(random) {
      const x = random.normal([rows, width]);
      return {
        x: dtype === "float32" ? x : random.values(x.shape, x.data, dtype),
        weight: random.normal([width, width], width ** -0.5),
      };
    },
    run: ({ x, weight }) => linear(x!, weight!, undefined, { precision: "bfloat16" }),
    differentiable: [],
    torch: [
      { name: "bfloat16", expression, precision: "bfloat16" },
      { name: "bfloat16, compiled", expression, precision: "bfloat16", compiled: true },
      { name: "autocast", expression, precision: "autocast" },
    ],
    arithmetic: "bfloat16",
    passes: {
      forward: {
        flops: 2 * rows * width * width,
        bars: [{ figure: "shareOfPeak", atLeast: 0.85 }],
      },
    },
  };
}

/** A frozen layer with its adapter, against the frozen layer alone: both pass gradients on to their input. */
function loraWork(): Work {
  const [rows, width, rank, scale] = [2_048, 576, 8, 2];
  const expression = `lora_linear(x, weight, down, up, ${scale})`;
  return {
    name: "LoRA linear, 2,048 x 576 x 576, rank 8",
    inputs: (random) => ({
      x: random.normal([rows, width]),
      weight: random.normal([width, width], width ** -0.5),
      down: random.normal([rank, width], width ** -0.5),
      up: random.normal([width, rank]),
    }),
    run: ({ x, weight, down, up }) =>
      loraLinear(x!, weight!, undefined, [{ a: down!, b: up!, scale }]),
    frozen: ({ x, weight }) => linear(x!, weight!),
    differentiable: ["x", "down", "up"],
    torch: [
      { name: "eager", expression },
      { name: "compiled", expression, compiled: true },
    ],
    arithmetic: "float32",
    passes: {
      backward: {
        // Twice the layer; the adapter's two products forward and four backward.
        flops: 2 * rows * width * (2 * width + 6 * rank),
        bars: [{ figure: "timesFrozen", atMost: 1.15 }],
      },
    },
  };
}
