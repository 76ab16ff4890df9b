import type { Progress, ProgressListener } from "../../progress.js";

/** A task of which progress is told, from its first word to its last. */
export class Phase {
  readonly #began: number;
  readonly #first: number;
  /** Of the last ten seconds, half a second apart: a rate is of now, not of the whole. */
  readonly #samples: { time: number; done: number }[];
  #latest: Progress;
  #now: number;

  /** @param now in milliseconds */
  constructor(progress: Progress, now: number) {
    this.#began = now;
    this.#now = now;
    this.#first = progress.done;
    this.#latest = progress;
    this.#samples = [{ time: now, done: progress.done }];
  }

  get latest(): Progress {
    return this.#latest;
  }

  /** Seconds since the task began. */
  get elapsed(): number {
    return (this.#now - this.#began) / 1000;
  }

  /** Units a second, now; undefined before there is something to measure. */
  get rate(): number | undefined {
    const oldest = this.#samples[0];
    if (oldest === undefined || this.#now - oldest.time < 250) return undefined;
    return ((this.#latest.done - oldest.done) / (this.#now - oldest.time)) * 1000;
  }

  /** Units a second over the whole task. */
  get meanRate(): number | undefined {
    return this.elapsed < 0.05 ? undefined : (this.#latest.done - this.#first) / this.elapsed;
  }

  /** Seconds until the end, at the present rate. */
  get secondsLeft(): number | undefined {
    const { rate } = this;
    const { total, done } = this.#latest;
    return total === undefined || !rate ? undefined : Math.max(0, (total - done) / rate);
  }

  update(progress: Progress, now: number): void {
    this.#latest = progress;
    this.#now = now;
    if (now - this.#samples.at(-1)!.time < 500) return;
    this.#samples.push({ time: now, done: progress.done });
    if (now - this.#samples[0]!.time > 10_000) this.#samples.shift();
  }
}

/** Draws phases: what the modes of progress differ in. */
export interface PhaseView {
  /** Called at most this often for a phase under way, in milliseconds. */
  readonly interval: number;
  begin(phase: Phase): void;
  tick(phase: Phase): void;
  /** @param complete false when the task was given up */
  end(phase: Phase, complete: boolean): void;
}

export interface PhaseTracker {
  update: ProgressListener;
  close(complete: boolean): void;
}

/** Cuts the stream of progress into tasks and thins it out to what a view takes. */
export function trackPhases(view: PhaseView, now: () => number): PhaseTracker {
  let current: Phase | undefined;
  let drawn = 0;
  const close = (complete: boolean): void => {
    if (current !== undefined) view.end(current, complete);
    current = undefined;
  };
  const update = (progress: Progress): void => {
    const time = now();
    if (current?.latest.task === progress.task) {
      current.update(progress, time);
      if (time - drawn < view.interval) return;
      view.tick(current);
    } else {
      close(true);
      current = new Phase(progress, time);
      view.begin(current);
    }
    drawn = time;
  };
  return { update, close };
}
