import { type Gradients, type Parameter, valueAndGrad } from "../autograd/index.js";
import type { EncoderLoss } from "../models/index.js";
import { GradientAccumulator, type Optimizer } from "../optim/index.js";
import { type Pacer, type Tensor, tidy } from "../tensor/index.js";
import type { TrainableModel, TrainingBatch } from "./fit.js";

/** What every step of a run works with. */
export interface StepParts<B> {
  readonly model: TrainableModel<B>;
  readonly parameters: readonly Parameter[];
  readonly optimizer: Optimizer;
  readonly accumulate: number;
  readonly clipNorm: number | undefined;
  readonly pacer: Pacer;
  readonly nextBatch: () => Promise<B>;
  readonly positions: ((batch: B) => number) | undefined;
}

/** What a step was, as numbers. */
export interface StepReading {
  /** `loss` and `loss/<feature>`, each times what it was the mean over. */
  readonly losses: Readonly<Record<string, number>>;
  /** What the losses were means over. */
  readonly counted: number;
  readonly gradientNorm: number;
  readonly examples: number;
  readonly positions: number;
}

/** A step that the device may still be at. */
export interface EnqueuedStep {
  readonly reading: Promise<StepReading>;
}

/**
 * Enqueues an optimizer step: the gradient of the mean over all that its batches count, as one big batch would give.
 * Waits for batches and, by the pacer, for a device that lags; never for the step itself.
 */
export async function trainStep<B extends TrainingBatch>(
  parts: StepParts<B>,
  learningRate: number,
): Promise<EnqueuedStep> {
  const { model, parameters, optimizer, accumulate, clipNorm, pacer } = parts;
  const readings: Promise<StepReading>[] = [];
  const add = (reading: Promise<StepReading>): void => {
    reading.catch(() => undefined); // it is told by whoever waits for the whole step
    readings.push(reading);
  };
  const apply = (gradients: Gradients): Tensor | undefined =>
    // A step without anything that counts is none, rather than one along gradients of zero.
    gradients.size === 0
      ? undefined
      : optimizer.step(gradients, { learningRate, clipNorm, gradientNorm: true }).gradientNorm;

  using accumulator = new GradientAccumulator();
  for (let i = 0; i < accumulate; i++) {
    const batch = await parts.nextBatch();
    const { norm, count, ...losses } = tidy(() => {
      const { loss, parts, count, gradients } = valueAndGrad(parameters, () => model.loss(batch));
      if (count > 0 && accumulate > 1) accumulator.add(gradients, count);
      const norm = count > 0 && accumulate === 1 ? apply(gradients) : undefined;
      return { loss, parts, count, norm };
    });
    const positions = parts.positions?.(batch) ?? count;
    add(readLosses(losses, { count, examples: batch.size, positions }));
    if (norm) add(readNorm(norm));
    await pacer.next();
  }
  const norm = accumulate > 1 ? tidy(() => apply(accumulator.result())) : undefined;
  if (norm) add(readNorm(norm));

  const reading = Promise.all(readings).then(sum);
  reading.catch(() => undefined);
  return { reading };
}

const nothing: StepReading = { losses: {}, counted: 0, gradientNorm: 0, examples: 0, positions: 0 };

async function readNorm(norm: Tensor): Promise<StepReading> {
  const [gradientNorm] = await numbers([norm]);
  return { ...nothing, gradientNorm: gradientNorm! };
}

/** A batch in which nothing counts may have a loss of 0 / 0: it adds nothing. */
async function readLosses(
  { loss, parts }: Pick<EncoderLoss, "loss" | "parts">,
  { count, examples, positions }: { count: number; examples: number; positions: number },
): Promise<StepReading> {
  const names = ["loss", ...Object.keys(parts).map((name) => `loss/${name}`)];
  const means = await numbers([loss, ...Object.values(parts)]);
  const sums = names.map((name, i) => [name, count === 0 ? 0 : means[i]! * count]);
  const losses = Object.fromEntries(sums) as Record<string, number>;
  return { losses, counted: count, gradientNorm: 0, examples, positions };
}

/** Reads scalars, which are disposed, without anybody waiting for the stream. */
async function numbers(tensors: readonly Tensor[]): Promise<number[]> {
  const reading = Promise.all(tensors.map((tensor) => tensor.item()));
  try {
    return await reading;
  } finally {
    for (const tensor of tensors) tensor.dispose();
  }
}

function sum(readings: readonly StepReading[]): StepReading {
  return readings.reduce((total, each) => {
    const losses = { ...total.losses };
    for (const [name, loss] of Object.entries(each.losses))
      losses[name] = (losses[name] ?? 0) + loss;
    return {
      losses,
      counted: total.counted + each.counted,
      gradientNorm: total.gradientNorm + each.gradientNorm,
      examples: total.examples + each.examples,
      positions: total.positions + each.positions,
    };
  }, nothing);
}
