import type { Check } from "./check.js";
import { checkAddon } from "./check-addon.js";
import { checkHub } from "./check-hub.js";
import {
  checkCuda,
  checkDisk,
  checkMemory,
  checkNode,
  checkPackage,
  checkPlatform,
} from "./check-machine.js";
import { checkDuckDB, checkParquet } from "./check-packages.js";

export interface CheckOptions {
  /** Whether to measure the processor. */
  readonly measure: boolean;
}

/** All checks; none of them throws. */
export async function runChecks({ measure }: CheckOptions): Promise<Check[]> {
  return [
    checkPackage(),
    checkNode(),
    checkPlatform(),
    await checkAddon(measure),
    checkMemory(),
    await checkDisk("."),
    await checkDuckDB(),
    await checkParquet(),
    await checkHub(),
    await checkCuda(),
  ];
}
