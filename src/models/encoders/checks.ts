/** Checks of what encoders are given, before they make anything. */
import { UsageError } from "../../errors.js";
import type { EncoderFeature } from "./encoder.js";

/** @throws UsageError unless `value` is a whole number from `least` on */
export function requireWhole(name: string, value: number, least = 1): void {
  if (!(Number.isSafeInteger(value) && value >= least))
    throw new UsageError(`${name} must be a whole number, at least ${least}, got ${value}`);
}

/** @throws UsageError unless the item is first, every feature has values, and no name comes twice */
export function requireFeatures(owner: string, features: readonly EncoderFeature[]): void {
  const [item] = features;
  if (item?.name !== "item" || item.bag)
    throw new UsageError(`${owner}: the first feature must be item, got ${item?.name ?? "none"}`);
  const names = new Set<string>();
  for (const { name, size } of features) {
    if (names.has(name)) throw new UsageError(`${owner}: feature "${name}" is there twice`);
    names.add(name);
    if (!(Number.isSafeInteger(size) && size > 0))
      throw new UsageError(`${owner}: feature "${name}" has no values; leave it out`);
  }
}

/** @throws UsageError when a key of `option` names no feature */
export function requireNames(
  option: string,
  given: Readonly<Record<string, unknown>>,
  features: readonly EncoderFeature[],
): void {
  const unknown = Object.keys(given).find((name) => !features.some((of) => of.name === name));
  if (unknown !== undefined)
    throw new UsageError(
      `${option}: "${unknown}" is not a feature of this encoder, which has ${features.map(({ name }) => name).join(", ")}`,
    );
}
