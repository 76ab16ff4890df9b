import type { RunSettings } from "./checkpoint/run-state.js";
import type { FitOptions } from "./fit.js";

type Settled = Pick<FitOptions<never>, "accumulate" | "clipNorm" | "learningRate" | "checkpoints">;

/** The settings as a checkpoint keeps them. A schedule is a function: some of its values stand for it. */
export function settingsAt(step: number, options: Settled): RunSettings {
  const { accumulate = 1, clipNorm = null, learningRate, checkpoints } = options;
  const steps = [...new Set([0, step >> 1, Math.max(0, step - 1)])];
  return {
    accumulate,
    clipNorm,
    learningRates: steps.map((each) => [each, learningRate(each)] as const),
    fingerprints: checkpoints?.fingerprints ?? {},
  };
}

/** What of the options is not as it was when the checkpoint was made. */
export function differences(saved: RunSettings, options: Settled): string[] {
  const { accumulate = 1, clipNorm = null, learningRate, checkpoints } = options;
  const found: string[] = [];
  const compare = (what: string, then: unknown, now: unknown): void => {
    if (then !== now) found.push(`${what} is ${String(now)}, was ${String(then)}`);
  };
  compare("accumulate", saved.accumulate, accumulate);
  compare("clipNorm", saved.clipNorm ?? "not set", clipNorm ?? "not set");
  for (const [step, rate] of saved.learningRates) {
    const now = learningRate(step);
    // A cosine may differ in its last bit on another machine.
    if (Math.abs(now - rate) <= 1e-12 * rate) continue;
    found.push(`the learning rate of step ${step} is ${now}, was ${rate}`);
    break;
  }
  const before = new Map(Object.entries(saved.fingerprints));
  const present = new Map(Object.entries(checkpoints?.fingerprints ?? {}));
  for (const name of new Set([...before.keys(), ...present.keys()]))
    compare(name, before.get(name) ?? "not given", present.get(name) ?? "not given");
  return found;
}
