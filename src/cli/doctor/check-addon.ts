import { describeFailure } from "../failure.js";
import type { Check } from "./check.js";

/** The native addon: whether it loads, from where, and what it computes with. */
export async function checkAddon(measure: boolean): Promise<Check> {
  try {
    const { cpuInfo, libraryFile, measurePeak } = await import("../../tensor/index.js");
    const { threads, isa, bfloat16 } = cpuInfo();
    const peak = measure ? await measurePeak() : undefined;
    const measured =
      peak === undefined
        ? "not measured (--measure)"
        : `${peak.gflops.toFixed(0)} GFLOP/s in float32, ${peak.bfloat16Gflops.toFixed(0)} in bfloat16, ` +
          `copies at ${peak.copyGBs.toFixed(0)} GB/s`;
    return {
      name: "addon",
      status: "ok",
      found: `${isa}, bfloat16 by ${bfloat16}, ${threads} threads, ${measured}; ${libraryFile}`,
      details: { library: libraryFile, threads, isa, bfloat16, peak },
    };
  } catch (error) {
    return {
      name: "addon",
      status: "fail",
      found: describeFailure(error).message,
      remedy: "npx user-llm build",
    };
  }
}
