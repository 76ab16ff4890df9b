import type { z } from "zod";
import type { ConfigObject } from "../config/index.js";
import { layer, resolveConfig } from "../config/index.js";
import { type Config, configSchema } from "./config.js";

/** A configuration as a program writes it: what has a default may be left out. */
export type ConfigOptions = z.input<typeof configSchema>;

/**
 * A configuration with all defaults.
 *
 *     configure({ data: { out: "prepared/ml-small" }, encoder: { kind: "sasrec", layers: 2 } })
 *
 * @throws ConfigError for an option that does not exist, or is not what it should be
 */
export function configure(options: ConfigOptions): Config {
  return resolveConfig(configSchema, [layer(options as ConfigObject, "configure")]);
}
