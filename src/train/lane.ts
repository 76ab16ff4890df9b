import { UsageError } from "../errors.js";
import { Pacer } from "../tensor/index.js";
import { advance, lastCheckpoint, type Run } from "./current-run.js";
import type { FitOptions, TrainingBatch } from "./fit.js";
import { emptyMeter, metered, metricsOf } from "./meter.js";
import { requireFinite } from "./soundness.js";
import { type EnqueuedStep, type StepParts, trainStep } from "./train-step.js";
import { TrainingProgress } from "./training-progress.js";

/** Steps that JavaScript is ahead of what it has read: as the pacer's, so that reading never waits. */
const ahead = 2;

/** A step on its way. */
interface Underway extends EnqueuedStep {
  readonly step: number;
  readonly learningRate: number;
}

/** The steps of a run, one enqueued after the other; what they measured comes a little later, in order. */
export class Lane<B extends TrainingBatch> {
  readonly #underway: Underway[] = [];
  readonly #parts: StepParts<B>;
  readonly #iterator: AsyncIterator<B>;
  readonly #progress: TrainingProgress;
  /** When the last step was read, or steps began; in milliseconds. */
  #mark = performance.now();

  constructor(
    readonly options: FitOptions<B>,
    readonly run: Run,
  ) {
    const { model, optimizer, accumulate = 1, clipNorm, positions, batches } = options;
    const parameters = model.trainable();
    if (parameters.length === 0) throw new UsageError("fit: the model has nothing to train");
    this.#iterator = batches[Symbol.asyncIterator]();
    const nextBatch = async (): Promise<B> => {
      const next = await this.#iterator.next();
      if (next.done !== true) return next.value;
      throw new UsageError(
        `fit: the batches ended after step ${run.step}; make them with epochs: Infinity`,
      );
    };
    const pacer = new Pacer(ahead);
    this.#parts = {
      ...{ model, parameters, optimizer, accumulate, clipNorm, pacer, nextBatch, positions },
    };
    this.#progress = new TrainingProgress(options.onProgress, options.steps);
    this.#progress.begin(run.step);
  }

  /** Enqueues the next step. */
  async step(): Promise<void> {
    const { run, options } = this;
    const learningRate = options.learningRate(run.step);
    const { reading } = await trainStep(this.#parts, learningRate);
    advance(run, options);
    this.#underway.push({ step: run.step, learningRate, reading });
    if (this.#underway.length > ahead) await this.#settle();
  }

  /** Waits until all steps are done and told of. */
  async drain(): Promise<void> {
    while (this.#underway.length > 0) await this.#settle();
    await this.#parts.pacer.finish();
  }

  /** What happened since does not count as time of steps. */
  skipTime(): void {
    this.#mark = performance.now();
  }

  /** Lets go of the batches, and of steps that nobody will be told of. */
  async close(): Promise<void> {
    await this.#iterator.return?.().catch(() => undefined);
    await this.#parts.pacer.finish();
    await Promise.allSettled(this.#underway.map(({ reading }) => reading));
  }

  /** The oldest step: into the log. */
  async #settle(): Promise<void> {
    const { step, learningRate, reading } = this.#underway[0]!;
    const measured = await reading;
    this.#underway.shift();
    const { run, options } = this;
    requireFinite(step, measured, lastCheckpoint(run, options));
    const now = performance.now();
    const seconds = (now - this.#mark) / 1000;
    this.#mark = now;
    run.seconds += seconds;
    run.meter = metered(run.meter, measured, seconds);
    if (step % (options.logEvery ?? 20) === 0 || step === options.steps) {
      const values = metricsOf(run.meter, learningRate);
      options.onLog?.({ step, epoch: epochAt(options, step), split: "train", values });
      run.meter = emptyMeter;
    }
    this.#progress.add(step, measured, seconds, learningRate);
  }
}

/** Epochs done, with fractions. */
export const epochAt = <B extends TrainingBatch>(
  { batches, accumulate = 1 }: FitOptions<B>,
  step: number,
): number => (step * accumulate) / batches.batches;
