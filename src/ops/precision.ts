import { UsageError } from "../errors.js";

/**
 * How a product treats its operands. `float32`: as they are (float64 ones too). `bfloat16`: float32 operands are
 * rounded to bfloat16 on their way into the product, whose sums, result and gradients stay float32.
 */
export type Precision = "float32" | "bfloat16";

/** The wire code is the position. */
const precisions: readonly Precision[] = ["float32", "bfloat16"];

/** @throws UsageError for what JavaScript callers may pass */
export function precisionCode(op: string, precision: Precision): number {
  const code = precisions.indexOf(precision);
  if (code < 0)
    throw new UsageError(
      `${op}: precision must be ${precisions.map((name) => `"${name}"`).join(" or ")}, got "${precision}"`,
    );
  return code;
}
