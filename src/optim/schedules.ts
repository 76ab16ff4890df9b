import { UsageError } from "../errors.js";
import { requireNumber } from "./slots.js";

export interface WarmupOptions {
  /** The highest learning rate. */
  peak: number;
  /** Length of the whole schedule, warmup included. */
  steps: number;
  /** Below 1 a share of `steps`, rounded up; otherwise a number of steps. Default: 0.1. */
  warmup?: number | undefined;
}

export interface DecayOptions extends WarmupOptions {
  /** The learning rate at the end and after it. Default: 0. */
  floor?: number | undefined;
}

/**
 * Learning rate that rises linearly, then falls along half a cosine. With `floor` 0, the numbers of transformers'
 * `get_cosine_schedule_with_warmup`.
 *
 *     step < warmup:  peak · step / warmup
 *     otherwise:      floor + (peak - floor) · (1 + cos(π · progress)) / 2
 *     progress = min(1, (step - warmup) / (steps - warmup))
 *
 * @param step optimizer steps taken before this one, from 0 on
 * @throws UsageError when a number is out of its range
 */
export function cosineWithWarmup(step: number, options: DecayOptions): number {
  return scheduled(
    "cosineWithWarmup",
    step,
    options,
    (progress) => (1 + Math.cos(Math.PI * progress)) / 2,
  );
}

/**
 * Learning rate that rises linearly, then falls linearly. With `floor` 0, the numbers of transformers'
 * `get_linear_schedule_with_warmup`.
 *
 *     step < warmup:  peak · step / warmup
 *     otherwise:      floor + (peak - floor) · (1 - progress)
 *     progress = min(1, (step - warmup) / (steps - warmup))
 *
 * @param step optimizer steps taken before this one, from 0 on
 * @throws UsageError when a number is out of its range
 */
export function linearWithWarmup(step: number, options: DecayOptions): number {
  return scheduled("linearWithWarmup", step, options, (progress) => 1 - progress);
}

/**
 * Learning rate that rises linearly to `peak · step / warmup` and stays at `peak` from step `warmup` on.
 *
 * @param step optimizer steps taken before this one, from 0 on
 * @throws UsageError when a number is out of its range
 */
export function constantWithWarmup(step: number, options: WarmupOptions): number {
  return scheduled("constantWithWarmup", step, options, () => 1);
}

function scheduled(
  name: string,
  step: number,
  { peak, steps, warmup = 0.1, floor = 0 }: DecayOptions,
  shape: (progress: number) => number,
): number {
  requireNumber(name, "step", step, 0);
  requireNumber(name, "peak", peak, 0);
  requireNumber(name, "steps", steps, 0);
  requireNumber(name, "warmup", warmup, 0);
  requireNumber(name, "floor", floor, 0);
  const rising = warmup < 1 ? Math.ceil(warmup * steps) : warmup;
  if (rising > steps)
    throw new UsageError(`${name}: warmup ${warmup} is longer than steps ${steps}`);
  if (floor > peak) throw new UsageError(`${name}: floor ${floor} is above peak ${peak}`);
  if (step < rising) return (peak * step) / rising;
  const progress = Math.min(1, (step - rising) / Math.max(1, steps - rising));
  return floor + (peak - floor) * shape(progress);
}
