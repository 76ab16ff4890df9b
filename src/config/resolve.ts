import type { z } from "zod";
import { ConfigError } from "../errors.js";
import { type ConfigPath, merge, valueAt } from "./keys.js";
import type { Layer } from "./layer.js";
import { expectation, jsonSchema, nodesAt, type SchemaNode } from "./schema.js";
import { suggestOption } from "./suggest.js";

/** What is wrong with an option. */
export interface Problem {
  /** `data.split.length`; empty for the whole. */
  readonly path: string;
  /** `cfg.yaml, line 7, column 3`, `--set`, or undefined where nobody gave the option. */
  readonly where: string | undefined;
  /** The whole sentence, with `where` and `path`. */
  readonly message: string;
}

export type Resolution<Config> =
  | { readonly config: Config; readonly problems: readonly [] }
  | { readonly config?: undefined; readonly problems: readonly Problem[] };

/**
 * Merges the layers, the later over the earlier, fills in defaults and checks.
 *
 * @param schema strict objects through and through, so that misspelt options are found
 */
export function checkConfig<Schema extends z.ZodType>(
  schema: Schema,
  layers: readonly Layer[],
): Resolution<z.output<Schema>> {
  const merged = layers.reduce<unknown>((under, { value }) => merge(under, value), {});
  const parsed = schema.safeParse(merged);
  if (parsed.success) return { config: parsed.data, problems: [] };
  const nodes = jsonSchema(schema);
  const problems = parsed.error.issues.flatMap((issue) =>
    problemsOf(issue, [], { nodes, layers, merged }),
  );
  return { problems };
}

/**
 * As `checkConfig`, for those who need the result.
 *
 * @throws ConfigError with the first problem and the number of the others
 */
export function resolveConfig<Schema extends z.ZodType>(
  schema: Schema,
  layers: readonly Layer[],
): z.output<Schema> {
  const { config, problems } = checkConfig(schema, layers);
  const [first, ...others] = problems;
  if (first === undefined) return config as z.output<Schema>;
  const more = others.length === 0 ? "" : ` (and ${others.length} more; config check lists them)`;
  throw new ConfigError(first.message + more);
}

interface Given {
  nodes: SchemaNode;
  layers: readonly Layer[];
  merged: unknown;
}

function problemsOf(issue: z.core.$ZodIssue, base: ConfigPath, given: Given): Problem[] {
  const path = [...base, ...(issue.path as (string | number)[])];
  const say = (at: ConfigPath, text: string): Problem => describe(at, text, given.layers);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => {
        const meant = suggestOption(given.nodes, [...path, key]);
        const hint = meant === undefined ? "" : `; did you mean ${meant}?`;
        return say([...path, key], `is not an option${hint}`);
      });
    case "invalid_key":
      return [say(path, `: ${issue.issues[0]?.message ?? issue.message}`)];
    case "custom":
      return [say(path, `: ${issue.message}`)];
    case "invalid_union": {
      // An alternative that fits but for what is inside it was the one that was meant.
      const meant = issue.errors.find((issues) => issues.every((inner) => inner.path.length > 0));
      if (meant?.length) return meant.flatMap((inner) => problemsOf(inner, path, given));
    }
  }
  const wanted = expectation(nodesAt(given.nodes, path));
  const got = valueAt(given.merged, path);
  return [
    say(
      path,
      got === undefined
        ? `is missing: expected ${wanted}`
        : `: expected ${wanted}, got ${show(got)}`,
    ),
  ];
}

function describe(at: ConfigPath, text: string, layers: readonly Layer[]): Problem {
  const path = at.join(".");
  const where = findWhere(at, layers);
  const subject = path === "" ? "the configuration" : path;
  const sentence = text.startsWith(":") ? `${subject}${text}` : `${subject} ${text}`;
  return { path, where, message: where === undefined ? sentence : `${where}: ${sentence}` };
}

/** Where an option was given; for one that is missing, where the section was that should have it. */
function findWhere(at: ConfigPath, layers: readonly Layer[]): string | undefined {
  for (let length = at.length; length > 0; length--) {
    const path = at.slice(0, length);
    const giver = layers.findLast(({ value }) => valueAt(value, path) !== undefined);
    if (giver !== undefined) return giver.where(path);
  }
  return undefined;
}

function show(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a mapping";
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
