/** Exit codes: what a script can tell apart without reading messages. */
import type { Interrupt } from "./host.js";

export const exitCodes = {
  ok: 0,
  /** Something went wrong while running. */
  failure: 1,
  /** The command line or the configuration is wrong. */
  usage: 2,
  /** Input data or a checkpoint is not valid. */
  data: 3,
  /** The device is not there, or memory ran out. */
  device: 4,
  network: 5,
} as const;

/** 128 + the signal's number, as shells count. */
export const interruptExitCodes: Readonly<Record<Interrupt, number>> = {
  SIGINT: 130,
  SIGTERM: 143,
};

/** By the `code` of the error. */
export function exitCodeOf(code: string): number {
  switch (code) {
    case "ERR_USAGE":
    case "ERR_CONFIG":
      return exitCodes.usage;
    case "ERR_DATA":
    case "ERR_CHECKPOINT":
      return exitCodes.data;
    case "ERR_DEVICE":
    case "ERR_NATIVE_MISSING":
    case "ERR_OUT_OF_MEMORY":
      return exitCodes.device;
    case "ERR_NETWORK":
      return exitCodes.network;
    default:
      return exitCodes.failure;
  }
}
