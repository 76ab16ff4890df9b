import type { Layer } from "../config/index.js";
import type { Context } from "./action.js";

/** Options of commands that take a configuration. */
export interface ConfigOptions {
  config?: string | undefined;
  set?: readonly string[] | undefined;
}

export const configFlag = ["-c, --config <file>", "YAML file with options"] as const;
export const setFlag = [
  "--set <option=value>",
  "set an option, as data.split.length=20; may be repeated",
] as const;

/** Collects the values of an option that may be repeated. */
export const repeated = (value: string, previous: readonly string[] | undefined): string[] => [
  ...(previous ?? []),
  value,
];

/**
 * Where the options of a command come from, in rising precedence: the environment, the file, `--set`; a command adds
 * its own flags.
 */
export async function configLayers(
  { config, set = [] }: ConfigOptions,
  { env }: Pick<Context, "env">,
): Promise<Layer[]> {
  const [{ environmentLayers, jsonSchema, readConfigFile, setLayer }, { configSchema }] =
    await Promise.all([import("../config/index.js"), import("../recipes/config.js")]);
  return [
    ...environmentLayers(jsonSchema(configSchema), env),
    ...(config === undefined ? [] : [await readConfigFile(config)]),
    ...set.map(setLayer),
  ];
}
