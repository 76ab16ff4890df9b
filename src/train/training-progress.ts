import type { ProgressListener } from "../progress.js";
import type { StepReading } from "./train-step.js";

/** Share of the past in the figures shown: they are of the last twenty steps or so. */
const memory = 0.95;

/** Tells how far training is, with figures that do not jump from step to step. */
export class TrainingProgress {
  #loss = 0;
  #counted = 0;
  #examples = 0;
  #seconds = 0;

  constructor(
    readonly listener: ProgressListener | undefined,
    readonly steps: number,
  ) {}

  /** Says where the run stands before its next step: what is left is reckoned from here. */
  begin(step: number): void {
    this.listener?.({ task: "training", done: step, total: this.steps, unit: "steps" });
  }

  add(step: number, reading: StepReading, seconds: number, learningRate: number): void {
    if (this.listener === undefined) return;
    this.#loss = memory * this.#loss + (reading.losses.loss ?? 0);
    this.#counted = memory * this.#counted + reading.counted;
    this.#examples = memory * this.#examples + reading.examples;
    this.#seconds = memory * this.#seconds + seconds;
    const values = {
      loss: shown(this.#loss / Math.max(1e-9, this.#counted)),
      lr: shown(learningRate),
      "examples/s": shown(this.#examples / Math.max(1e-9, this.#seconds)),
    };
    this.listener({ task: "training", done: step, total: this.steps, unit: "steps", values });
  }
}

const shown = (value: number): number => Number(value.toPrecision(4));
