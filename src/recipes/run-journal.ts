import { join } from "node:path";
import type { FitResult, MetricRecord, RunFolder, TrainerState } from "../train/index.js";
import { readMetricLines } from "../train/run/metric-lines.js";
import { readRunEnvironment, runFiles } from "../train/run/run-files.js";

/** What a journal has to know of a training. */
export interface Journey {
  /** Optimizer steps of the whole training. */
  readonly steps: number;
  /** The validation metric that decides what is best. */
  readonly monitor: string;
  /** Gets every record, too. */
  readonly onLog?: ((record: MetricRecord) => void) | undefined;
}

/** Keeps in a run folder what `fit` logs, and where the training stands. */
export class RunJournal {
  #step = 0;
  #epoch = 0;
  #best: TrainerState["best"] = null;
  #valuesOfBest: Readonly<Record<string, number>> = {};
  readonly #startedAt: string;

  private constructor(
    readonly run: RunFolder,
    readonly journey: Journey,
    startedAt: string,
  ) {
    this.#startedAt = startedAt;
  }

  /** @throws DataError when the folder cannot be written */
  static async begin(run: RunFolder, journey: Journey): Promise<RunJournal> {
    const { startedAt } = await readRunEnvironment(run.path);
    const journal = new RunJournal(run, journey, startedAt);
    await journal.save();
    return journal;
  }

  /** What the best validation measured; empty before the first. */
  get valuesOfBest(): Readonly<Record<string, number>> {
    return this.#valuesOfBest;
  }

  /** Forgets what came after a step, from which the training goes on, and recalls what came before. */
  async goBack(step: number): Promise<void> {
    await this.run.truncate(step);
    this.#best = null;
    const path = join(this.run.path, runFiles.metrics);
    for await (const { record } of readMetricLines(path)) this.#follow(record);
    await this.save();
  }

  log(record: MetricRecord): void {
    this.run.log(record);
    this.run.note(recordLine(record));
    this.#follow(record);
    this.journey.onLog?.(record);
  }

  /** Puts on the disk all that was logged, and where the training stands. */
  async save(): Promise<void> {
    await this.run.flush();
    await this.#write("running");
  }

  async end(reason: FitResult["reason"]): Promise<void> {
    await this.run.flush();
    await this.#write(reason === "aborted" ? "stopped" : "finished", reason);
  }

  /** Notes why a training failed; a disk that is the reason need not take it. */
  async fail(error: unknown): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    await this.#write("failed", message).catch(() => {});
  }

  #follow({ step, epoch, split, values }: MetricRecord): void {
    const { monitor } = this.journey;
    this.#step = step;
    this.#epoch = epoch;
    const value = split === "validation" ? values[monitor] : undefined;
    if (value === undefined || (this.#best !== null && value <= this.#best.value)) return;
    this.#best = { step, metric: monitor, value };
    this.#valuesOfBest = values;
  }

  async #write(state: TrainerState["state"], reason?: string): Promise<void> {
    const written: TrainerState = {
      v: 1,
      state,
      step: this.#step,
      steps: this.journey.steps,
      epoch: this.#epoch,
      best: this.#best,
      startedAt: this.#startedAt,
      updatedAt: new Date().toISOString(),
      seconds: this.run.seconds,
      ...(reason !== undefined && { reason }),
    };
    await this.run.writeState(written);
  }
}

/** A record for people: `step 200, epoch 1.42, train: loss 5.61, learningRate 0.0009`. */
function recordLine({ step, epoch, split, values }: MetricRecord): string {
  const figures = Object.entries(values).map(([name, value]) => `${name} ${figure(value)}`);
  return `step ${step}, epoch ${epoch.toFixed(2)}, ${split}: ${figures.join(", ")}`;
}

const figure = (value: number): string =>
  Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
