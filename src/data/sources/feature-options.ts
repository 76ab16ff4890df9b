import { ConfigError } from "../../errors.js";
import type { FeatureKind } from "../feature.js";
import type { Column, FeatureMapping } from "../source.js";

/** Features by name. A kind alone means that the column has the feature's name: `{ category: "categorical" }`. */
export type FeatureOptions = Readonly<Record<string, FeatureKind | FeatureMapping>>;

/** The full form of features. */
export function featureMappings(
  features: FeatureOptions | undefined,
): Readonly<Record<string, FeatureMapping>> {
  return Object.fromEntries(
    Object.entries(features ?? {}).map(([name, feature]) => [
      name,
      typeof feature === "string" ? mappingOf(feature, name) : feature,
    ]),
  );
}

function mappingOf(kind: FeatureKind, column: Column): FeatureMapping {
  switch (kind) {
    case "id":
    case "categorical":
    case "ordinal":
    case "bag":
    case "text":
      return { kind, column };
    default:
      throw new ConfigError(
        `feature "${column}": a kind is id, categorical, ordinal, bag or text, got ${JSON.stringify(kind)}`,
      );
  }
}
