import { pathToFileURL } from "node:url";
import { UsageError } from "../errors.js";
import type { EncoderFamily } from "../models/index.js";

/**
 * Code of the user's own comes from the command line alone: a configuration that somebody sends can choose among what is
 * there, but run nothing.
 */
export const pluginFlag = [
  "--plugin <module>",
  "file or package that exports encoders of your own; may be repeated",
] as const;

/**
 * The encoders that modules export, under any names.
 *
 * @throws UsageError when a module cannot be loaded, or exports no encoder
 */
export async function readPlugins(modules: readonly string[] = []): Promise<EncoderFamily[]> {
  const families: EncoderFamily[] = [];
  for (const name of modules) {
    const exported = Object.values(await load(name)).flat();
    const found = exported.filter(isFamily);
    if (found.length === 0)
      throw new UsageError(
        `--plugin ${name}: exports no encoder, an object { name, create(data, options) }`,
      );
    families.push(...found);
  }
  return families;
}

async function load(name: string): Promise<Record<string, unknown>> {
  const isPath = /^(\.{0,2}[\\/]|[A-Za-z]:)|\.[cm]?[jt]s$/.test(name);
  try {
    return await import(isPath ? pathToFileURL(name).href : name);
  } catch (error) {
    throw new UsageError(`--plugin ${name}: ${(error as Error)?.message ?? String(error)}`, {
      cause: error,
    });
  }
}

const isFamily = (value: unknown): value is EncoderFamily =>
  typeof value === "object" &&
  value !== null &&
  typeof (value as Partial<EncoderFamily>).name === "string" &&
  typeof (value as Partial<EncoderFamily>).create === "function";
