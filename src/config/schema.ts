/** What a schema says of its options, read from its JSON schema: for messages, suggestions and the reference. */
import { z } from "zod";
import type { ConfigPath } from "./keys.js";

/** The part of JSON schema that zod writes. */
export interface SchemaNode {
  type?: "object" | "array" | "string" | "number" | "integer" | "boolean" | "null";
  title?: string;
  description?: string;
  default?: unknown;
  enum?: readonly unknown[];
  const?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minItems?: number;
  properties?: Readonly<Record<string, SchemaNode>>;
  required?: readonly string[];
  additionalProperties?: SchemaNode | boolean;
  items?: SchemaNode;
  anyOf?: readonly SchemaNode[];
  oneOf?: readonly SchemaNode[];
  /** What a value has to be, in words, where the rest of the schema does not tell: `a size, as 512MB`. */
  "x-expects"?: string;
  /** The environment variable that gives the option. */
  "x-env"?: string;
}

/** The JSON schema (draft 2020-12) of what may be written in a file. */
export function jsonSchema(schema: z.ZodType): SchemaNode {
  return z.toJSONSchema(schema, {
    io: "input",
    override({ jsonSchema: node }) {
      // Zod bounds whole numbers by what a double holds; that is noise.
      if (node.maximum === Number.MAX_SAFE_INTEGER) delete node.maximum;
      if (node.minimum === Number.MIN_SAFE_INTEGER) delete node.minimum;
    },
  }) as SchemaNode;
}

/** An option of a schema. */
export interface SchemaOption {
  /** `data.split.length`; a name that is free to choose is `<name>`. */
  readonly path: string;
  readonly node: SchemaNode;
}

/** All options, sections before what is in them. */
export function optionsOf(node: SchemaNode, prefix = ""): SchemaOption[] {
  const seen = new Set<string>();
  return alternatives(node).flatMap(({ properties = {}, additionalProperties }) => {
    const free =
      typeof additionalProperties === "object" ? [["<name>", additionalProperties] as const] : [];
    return [...Object.entries(properties), ...free].flatMap(([key, child]) => {
      const path = `${prefix}${key}`;
      if (seen.has(path)) return [];
      seen.add(path);
      return [{ path, node: child }, ...optionsOf(child, `${path}.`)];
    });
  });
}

/** The schemas that a value at the path may follow. */
export function nodesAt(root: SchemaNode, path: ConfigPath): SchemaNode[] {
  let nodes = alternatives(root);
  for (const key of path) {
    nodes = nodes.flatMap(({ properties = {}, additionalProperties, items }) => {
      if (typeof key === "number") return items ? alternatives(items) : [];
      if (Object.hasOwn(properties, key)) return alternatives(properties[key]!);
      return typeof additionalProperties === "object" ? alternatives(additionalProperties) : [];
    });
  }
  return nodes;
}

function alternatives(node: SchemaNode): SchemaNode[] {
  const parts = node.anyOf ?? node.oneOf;
  if (parts === undefined || node["x-expects"] !== undefined) return [node];
  return parts.flatMap(alternatives);
}

/** What schemas want, in words: `a whole number from 1`, `"full" or "padded"`. */
export function expectation(nodes: readonly SchemaNode[]): string {
  const choices = nodes.flatMap(({ const: only, enum: some = [] }) =>
    only === undefined ? some : [only],
  );
  const others = nodes.filter((node) => node.const === undefined && node.enum === undefined);
  const phrases = [...choices.map((choice) => JSON.stringify(choice)), ...others.map(phrase)];
  const distinct = [...new Set(phrases)];
  const last = distinct.pop() ?? "nothing";
  return distinct.length === 0 ? last : `${distinct.join(", ")} or ${last}`;
}

function phrase(node: SchemaNode): string {
  if (node["x-expects"] !== undefined) return node["x-expects"];
  switch (node.type) {
    case "object":
      return "a mapping";
    case "array":
      return node.minItems ? "a list that is not empty" : "a list";
    case "string":
      return "a text";
    case "boolean":
      return "true or false";
    case "integer":
      return `a whole number${bounds(node)}`;
    case "number":
      return `a number${bounds(node)}`;
    default:
      return node.type ?? "a value";
  }
}

function bounds(node: SchemaNode): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = node;
  const lower =
    exclusiveMinimum !== undefined
      ? ` greater than ${exclusiveMinimum}`
      : minimum !== undefined
        ? ` from ${minimum}`
        : "";
  const upper =
    exclusiveMaximum !== undefined
      ? `${lower && " and"} below ${exclusiveMaximum}`
      : maximum !== undefined
        ? `${lower ? "" : " up"} to ${maximum}`
        : "";
  return lower + upper;
}
