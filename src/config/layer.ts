import { ConfigError } from "../errors.js";
import { type ConfigObject, type ConfigPath, keyFault, nest } from "./keys.js";
import { optionsOf, type SchemaNode } from "./schema.js";
import { parseValue } from "./yaml.js";

/** One of the places that options come from. Of several, the later wins. */
export interface Layer {
  readonly value: ConfigObject;
  /** Where the option at a path was given: `cfg.yaml, line 7, column 3`. */
  where(path: ConfigPath): string | undefined;
}

/** Options that a program gives: the flags of a command. */
export function layer(value: ConfigObject, name: string): Layer {
  return { value, where: () => name };
}

/**
 * The layer of `--set a.b=c`.
 *
 * @throws ConfigError when it is not of that form
 */
export function setLayer(assignment: string): Layer {
  const equals = assignment.indexOf("=");
  const path = assignment.slice(0, equals).trim().split(".");
  if (equals < 0 || path.includes("")) {
    throw new ConfigError(
      `--set: expected option=value, as in data.split.length=50, got "${assignment}"`,
    );
  }
  for (const key of path) {
    const fault = keyFault(key);
    if (fault !== undefined) throw new ConfigError(`--set ${path.join(".")}: ${fault}`);
  }
  const value = parseValue(assignment.slice(equals + 1), `--set ${path.join(".")}`);
  return { value: nest(path, value), where: () => "--set" };
}

/** A layer for each environment variable that the schema names (`x-env`) and that is set. */
export function environmentLayers(
  schema: SchemaNode,
  env: Readonly<Record<string, string | undefined>>,
): Layer[] {
  return optionsOf(schema).flatMap(({ path, node }) => {
    const name = node["x-env"];
    const text = name === undefined ? undefined : env[name];
    if (name === undefined || text === undefined || text === "") return [];
    return [{ value: nest(path.split("."), parseValue(text, name)), where: () => name }];
  });
}
