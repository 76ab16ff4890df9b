/** bfloat16 shadows in the cases of optimizer steps. Only float32 parameters have them. */
import { cast } from "../../src/ops/index.js";
import type { Tensor } from "../../src/tensor/index.js";

interface Shadows {
  readonly shadows: readonly Tensor[];
  readonly shadowOf: readonly number[];
}

/** The shadows of the parameters at the given positions, for a step. */
export function shadowsOf(
  parameters: readonly (Tensor | undefined)[],
  shadowOf: readonly number[],
): Shadows {
  if (parameters.some((x) => x?.dtype !== "float32")) return { shadows: [], shadowOf: [] };
  return { shadows: shadowOf.map((i) => cast(parameters[i]!, "bfloat16")), shadowOf };
}

/** What the step made of them; in float64, where there are none, what they would have been. */
export const shadowsAfter = (
  parameters: readonly (Tensor | undefined)[],
  shadowOf: readonly number[],
  { shadows }: Shadows,
): readonly Tensor[] =>
  shadows.length > 0 ? shadows : shadowOf.map((i) => cast(parameters[i]!, "bfloat16"));
