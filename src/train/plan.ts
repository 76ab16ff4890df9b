import type { Parameter } from "../autograd/index.js";
import { UsageError } from "../errors.js";
import type { Module } from "../nn/index.js";
import { countFlops, type FlopCount, type Generator } from "../ops/index.js";
import type { Optimizer } from "../optim/index.js";
import type { LongCall } from "../progress.js";
import { bytesPerElement, memory, Pacer, resetPeakMemory, synchronize } from "../tensor/index.js";
import type { TrainableModel, TrainingBatch, TrainingBatches } from "./fit.js";
import { generatorsOf, restore, statesOf } from "./randomness.js";
import { type StepReading, trainStep } from "./train-step.js";
import { rememberModes } from "./training-modes.js";

/** The training that is planned, as for {@link fit}, and how much of it is tried. */
export interface PlanOptions<B extends TrainingBatch = TrainingBatch> extends LongCall {
  model: TrainableModel<B>;
  /** Of the model's trainable parameters; it has made no step yet. */
  optimizer: Optimizer;
  batches: TrainingBatches<B>;
  /** Optimizer steps of the whole run. */
  steps: number;
  /** Batches of a step. Default: 1. */
  accumulate?: number | undefined;
  /** Limits the norm of all gradients together. Default: no limit. */
  clipNorm?: number | undefined;
  /** Inputs of a batch. Default: what its loss is the mean over. */
  positions?: ((batch: B) => number) | undefined;
  /** Generators that the model or the batches draw from, beside the default one. */
  generators?: readonly Generator[] | undefined;
  /** Checkpoints that a run has at a time, the best and the one being written included. Default: 4. */
  checkpoints?: number | undefined;
  /** Whether checkpoints have the parameters that are not trained, too. Default: true. */
  savesFrozen?: boolean | undefined;
  /** Steps that are timed, after two of warm-up. Default: 5. */
  timedSteps?: number | undefined;
}

/** A part of a model, by its path: `events.tables.item`. */
export interface PlannedPart {
  readonly name: string;
  readonly parameters: number;
  readonly trainable: number;
}

/** What a training will take. Bytes, seconds, numbers of parameters. */
export interface TrainingPlan {
  readonly parameters: {
    readonly total: number;
    readonly trainable: number;
    /** In the order of the fields; repeated parts, such as blocks, are one. */
    readonly parts: readonly PlannedPart[];
  };
  readonly memory: {
    readonly weights: number;
    readonly gradients: number;
    readonly optimizer: number;
    /** bfloat16 copies of weights. */
    readonly shadows: number;
    /** The rest of the peak: what the backward pass needs, the batch, and room for ops to work in. */
    readonly activations: number;
    /** Highest sum while the tried steps ran, with whatever else the process holds. */
    readonly peak: number;
    /** What tensors may take. */
    readonly limit: number;
  };
  /** Of an optimizer step, counted op by op. */
  readonly flops: FlopCount;
  readonly steps: number;
  /** Passes over the training examples. */
  readonly epochs: number;
  /** Examples of all steps, and inputs of the model in them, as many a step as in those that were tried. */
  readonly examples: number;
  readonly positions: number;
  readonly time: {
    /** How long the tried steps took: half of them less than the median. */
    readonly step: { readonly fastest: number; readonly median: number; readonly slowest: number };
    readonly stepsTimed: number;
    /** Of all steps at the median's pace; validation and checkpoints come on top. */
    readonly training: number;
  };
  readonly disk: {
    /** Weights and the state of the optimizer. */
    readonly checkpoint: number;
    /** Of all checkpoints that are there at a time. */
    readonly checkpoints: number;
  };
}

const warmups = 2;
/** Once the timed steps have taken so long, those that were timed are enough. */
const patienceSeconds = 30;

/**
 * Finds out what a training will take, by making a few of its steps: memory and time are measured, operations counted.
 *
 * The steps have a learning rate of 0, so that weights stay as they are, and the state of the optimizer is freed. Random
 * generators and the order of batches go back to where they were: a run that follows is the same as without.
 *
 * @throws UsageError when the optimizer has made steps, or there is nothing to train
 * @throws NativeError when a step does not fit in memory
 */
export async function planTraining<B extends TrainingBatch>(
  options: PlanOptions<B>,
): Promise<TrainingPlan> {
  const { model, optimizer, batches, steps, accumulate = 1, checkpoints = 4 } = options;
  if (optimizer.state().size > 0)
    throw new UsageError("planTraining: the optimizer has made steps; plan before training");
  const parameters = model.trainable();
  if (parameters.length === 0) throw new UsageError("planTraining: the model has nothing to train");
  const tried = await trySteps(parameters, options);
  const weights = bytesOf(model.parameters());
  const { flops, seconds, held } = tried;
  const known = weights + held.gradients + held.optimizer + held.shadows;
  const sorted = seconds.toSorted((a, b) => a - b);
  const median = (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
  const { savesFrozen = true } = options;
  const checkpoint = (savesFrozen ? weights : bytesOf(parameters)) + held.optimizer;
  return {
    parameters: {
      total: model.parameterCount,
      trainable: sizeOf(parameters),
      parts: partsOf(model),
    },
    memory: { weights, ...held, activations: Math.max(0, held.peak - known) },
    flops,
    steps,
    epochs: (steps * accumulate) / batches.batches,
    examples: Math.round(steps * tried.examples),
    positions: Math.round(steps * tried.positions),
    time: {
      step: { fastest: sorted[0]!, median, slowest: sorted.at(-1)! },
      stepsTimed: seconds.length,
      training: steps * median,
    },
    disk: { checkpoint, checkpoints: checkpoints * checkpoint },
  };
}

/** What the tried steps were. */
interface TriedSteps {
  readonly flops: FlopCount;
  /** Of each timed step. */
  readonly seconds: readonly number[];
  readonly held: Omit<TrainingPlan["memory"], "weights" | "activations">;
  /** Of a step, on average. */
  readonly examples: number;
  readonly positions: number;
}

/** Makes the steps, and puts back whatever they have moved. */
async function trySteps<B extends TrainingBatch>(
  parameters: readonly Parameter[],
  options: PlanOptions<B>,
): Promise<TriedSteps> {
  const { model, optimizer, batches } = options;
  const generators = generatorsOf(options.generators);
  const cursor = batches.state();
  const states = statesOf(generators);
  const putModesBack = rememberModes(model);
  const bare = model.parameters().filter(({ hasShadow }) => !hasShadow);
  const iterator = batches[Symbol.asyncIterator]();
  try {
    model.train();
    return await measure(parameters, iterator, options);
  } finally {
    await iterator.return?.();
    batches.load(cursor);
    restore(generators, states);
    putModesBack();
    optimizer.dispose();
    for (const parameter of bare) parameter.dropShadow();
  }
}

async function measure<B extends TrainingBatch>(
  parameters: readonly Parameter[],
  iterator: AsyncIterator<B>,
  options: PlanOptions<B>,
): Promise<TriedSteps> {
  const { model, optimizer, positions, accumulate = 1, clipNorm, signal, onProgress } = options;
  const { timedSteps = 5 } = options;
  const step = async (): Promise<StepReading> => {
    const parts = { model, parameters, optimizer, accumulate, clipNorm, positions };
    const { reading } = await trainStep(
      { ...parts, pacer: new Pacer(), nextBatch: () => nextOf(iterator) },
      0,
    );
    const read = await reading;
    await synchronize();
    return read;
  };
  await synchronize();
  resetPeakMemory();
  const readings: StepReading[] = [];
  const seconds: number[] = [];
  let flops: FlopCount | undefined;
  let spent = 0;
  for (let i = 0; i < warmups + timedSteps; i++) {
    signal?.throwIfAborted();
    onProgress?.({ task: "trying steps", done: i, total: warmups + timedSteps, unit: "steps" });
    const began = performance.now();
    if (i === 0) {
      const { result, ...count } = await countFlops(step);
      readings.push(result);
      flops = count;
      continue;
    }
    readings.push(await step());
    if (i < warmups) continue;
    seconds.push((performance.now() - began) / 1e3);
    spent += seconds.at(-1)!;
    if (spent > patienceSeconds) break;
  }
  const { peakBytes: peak, limitBytes: limit } = memory();
  const mean = (of: (reading: StepReading) => number) =>
    readings.reduce((sum, reading) => sum + of(reading), 0) / readings.length;
  return {
    flops: flops!,
    seconds,
    held: {
      gradients: bytesOf(parameters),
      optimizer: [...optimizer.state().values()].reduce(
        (sum, { size, dtype }) => sum + size * bytesPerElement[dtype],
        0,
      ),
      shadows: 2 * sizeOf(model.parameters().filter(({ hasShadow }) => hasShadow)),
      peak,
      limit,
    },
    examples: mean(({ examples }) => examples),
    positions: mean(({ positions }) => positions),
  };
}

async function nextOf<B>(iterator: AsyncIterator<B>): Promise<B> {
  const { done, value } = await iterator.next();
  if (done) throw new UsageError("planTraining: the batches have an end; make a loader without");
  return value;
}

const sizeOf = (parameters: readonly Parameter[]): number =>
  parameters.reduce((sum, { value }) => sum + value.size, 0);

const bytesOf = (parameters: readonly Parameter[]): number =>
  parameters.reduce((sum, { value }) => sum + value.size * bytesPerElement[value.dtype], 0);

/** Parameters by the module that they are of; what is repeated, by the field that holds all of it. */
function partsOf(model: Module): PlannedPart[] {
  const parts = new Map<string, PlannedPart>();
  for (const [path, { value, trainable }] of model.namedParameters()) {
    const fields = path.split(".");
    const repeated = fields.findIndex((field) => /^\d+$/.test(field));
    const name = fields
      .slice(0, repeated > 0 ? repeated : Math.max(1, fields.length - 1))
      .join(".");
    const before = parts.get(name) ?? { name, parameters: 0, trainable: 0 };
    parts.set(name, {
      name,
      parameters: before.parameters + value.size,
      trainable: before.trainable + (trainable ? value.size : 0),
    });
  }
  return [...parts.values()];
}
