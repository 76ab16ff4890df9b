import type { FinetuningPlan } from "../recipes/finetune/index.js";
import type { PretrainingPlan } from "../recipes/plan.js";
import type { LmPlan } from "../recipes/pretrain-lm/index.js";
import type { TrainingPlan } from "../train/index.js";
import type { Colours } from "./colour.js";
import { type Cell, table } from "./table.js";
import { bytes, count, duration } from "./text.js";

/** What `pretrain --dry-run` shows. */
export function describePretrainingPlan(plan: PretrainingPlan, colours: Colours): string {
  const { windows, mapped } = plan;
  return describePlan(plan, colours, {
    memory: [["prepared data, mapped", bytes(mapped)]],
    training: [["windows", `${count(windows.count)} of ${count(windows.users)} users`]],
    positions: "events",
  });
}

/** What `pretrain-lm --dry-run` shows. */
export function describeLmPlan(plan: LmPlan, colours: Colours): string {
  const { documents, bytes: size, tokens, vocabulary } = plan.texts;
  return describePlan(plan, colours, {
    training: [
      ["texts", `${count(documents)} documents, ${bytes(size)}`],
      ["as tokens", `${count(tokens)} of ${count(vocabulary)} kinds`],
    ],
    positions: "tokens",
  });
}

/** What `finetune --dry-run` shows. */
export function describeFinetuningPlan(plan: FinetuningPlan, colours: Colours): string {
  const { sequences, tokens, learnt, shortened } = plan.examplesRead;
  return describePlan(plan, colours, {
    training: [
      ["read", `${count(sequences)} sequences of ${count(tokens)} tokens`],
      ["learnt", `${count(learnt)} tokens`],
      ...(shortened > 0 ? [["shortened", `${count(shortened)} prompts`]] : []),
    ],
    positions: "tokens",
  });
}

/** What is said of a recipe beside what all trainings have. */
interface RecipeLines {
  readonly memory?: readonly Cell[][] | undefined;
  readonly training: readonly Cell[][];
  /** What inputs of the model are called. */
  readonly positions: string;
}

/** Parameters, memory, arithmetic and time of a training. */
function describePlan(plan: TrainingPlan, colours: Colours, recipe: RecipeLines): string {
  const { parameters, memory, flops, time, disk } = plan;
  const section = (title: string, rows: readonly (readonly Cell[])[], header?: string[]): string =>
    `${colours.bold(title)}\n${table(rows, { indent: "  ", header })}\n`;
  const { fastest, median, slowest } = time.step;
  return [
    section(
      "Parameters",
      [
        ...parameters.parts.map((part) => [part.name, part.parameters, part.trainable]),
        ["total", parameters.total, parameters.trainable],
      ],
      ["", "all", "trainable"],
    ),
    section("Memory", [
      ["weights", bytes(memory.weights)],
      ["gradients", bytes(memory.gradients)],
      ["optimizer", bytes(memory.optimizer)],
      ...(memory.shadows > 0 ? [["weights in bfloat16", bytes(memory.shadows)]] : []),
      ["activations and batches", bytes(memory.activations)],
      ["peak, measured", `${bytes(memory.peak)} of ${bytes(memory.limit)}`],
      ...(recipe.memory ?? []),
    ]),
    section("Training", [
      ...recipe.training,
      ["steps", `${count(plan.steps)}, ${plan.epochs.toFixed(1)} epochs`],
      ["examples", count(plan.examples)],
      [recipe.positions, count(plan.positions)],
      ["arithmetic of a step", `${flop(flops.total)}, of it products ${flop(flops.products)}`],
      ["arithmetic in all", flop(flops.total * plan.steps)],
      [
        "a step",
        `${stepTime(median)} (${stepTime(fastest)} to ${stepTime(slowest)}), ${flop(flops.total / median)}/s`,
      ],
      ["time, without validation", `about ${duration(time.training)}`],
      ["disk for checkpoints", `${bytes(disk.checkpoints)}, ${bytes(disk.checkpoint)} each`],
    ]),
  ].join("");
}

const stepTime = (seconds: number): string =>
  seconds < 0.9995 ? `${(seconds * 1e3).toPrecision(3)} ms` : `${seconds.toFixed(2)} s`;

/** `94.3 GFLOP` */
function flop(value: number): string {
  const units = ["", "k", "M", "G", "T", "P", "E"];
  let scaled = value;
  let unit = 0;
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${scaled.toPrecision(3)} ${units[unit]}FLOP`;
}
