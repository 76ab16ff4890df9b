import { CheckpointError } from "../../errors.js";
import { isObject, numberOf } from "./json.js";
import type { BestMetric } from "./metric-record.js";

/** `trainer_state.json`: where a run stands. Rewritten whole as the run goes on. */
export interface TrainerState {
  readonly v: 1;
  /**
   * - `running`: it says so itself; whether its process is still there, the folder's lock tells
   * - `finished`: all steps, or stopped early because validation no longer improved (`reason`)
   * - `stopped`: by the user, to be resumed
   * - `failed`: by an error, which `reason` gives
   */
  readonly state: "running" | "finished" | "stopped" | "failed";
  /** Optimizer steps done. */
  readonly step: number;
  /** Optimizer steps that the run is to have. */
  readonly steps: number;
  /** Passes over the training windows done, with fractions. */
  readonly epoch: number;
  readonly best: BestMetric | null;
  /** When the run first began; ISO 8601 in UTC. */
  readonly startedAt: string;
  /** When this was written; ISO 8601 in UTC. */
  readonly updatedAt: string;
  /** Seconds that the run has been going, without the time between a stop and a resume. */
  readonly seconds: number;
  /** Why it is no longer running, in a few words: `stopped-early`, `SIGINT`, an error's message. */
  readonly reason?: string | undefined;
}

const states: readonly unknown[] = ["running", "finished", "stopped", "failed"];

/**
 * A value read from `trainer_state.json`.
 *
 * @throws CheckpointError when it is none; `where` begins the message
 */
export function parseState(value: unknown, where: string): TrainerState {
  const fault = faultOf(value);
  if (fault !== undefined) throw new CheckpointError(`${where}: ${fault}`);
  const state = value as TrainerState;
  const { best } = state;
  return best === null ? state : { ...state, best: { ...best, value: numberOf(best.value)! } };
}

function faultOf(value: unknown): string | undefined {
  if (!isObject(value)) return "expected an object";
  const { v, state, step, steps, epoch, best, startedAt, updatedAt, seconds, reason } = value;
  if (v !== 1) return `expected version 1, got ${JSON.stringify(v) ?? "none"}`;
  if (!states.includes(state)) return `state: expected one of ${states.join(", ")}`;
  for (const [name, number] of Object.entries({ step, steps, epoch, seconds })) {
    if (typeof number !== "number" || !(number >= 0)) return `${name}: expected a number from 0`;
  }
  for (const [name, text] of Object.entries({ startedAt, updatedAt })) {
    if (typeof text !== "string" || Number.isNaN(Date.parse(text)))
      return `${name}: expected a time`;
  }
  if (reason !== undefined && typeof reason !== "string") return "reason: expected a text";
  return best === null || isBest(best) ? undefined : "best: expected step, metric and value";
}

const isBest = (value: unknown): boolean =>
  isObject(value) &&
  typeof value.step === "number" &&
  typeof value.metric === "string" &&
  numberOf(value.value) !== undefined;
