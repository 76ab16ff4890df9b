import picocolors from "picocolors";
import type { Host, Output } from "./host.js";

export type Colours = ReturnType<typeof picocolors.createColors>;

/** Whether to colour what goes to a stream. NO_COLOR wins over FORCE_COLOR, as `--no-color` over both. */
function usesColour(output: Output, env: Host["env"], refused: boolean): boolean {
  if (refused || env.NO_COLOR) return false;
  if (env.FORCE_COLOR !== undefined && env.FORCE_COLOR !== "") {
    return env.FORCE_COLOR !== "0" && env.FORCE_COLOR !== "false";
  }
  return output.isTTY === true && env.TERM !== "dumb";
}

export const coloursFor = (output: Output, env: Host["env"], refused: boolean): Colours =>
  picocolors.createColors(usesColour(output, env, refused));
