/**
 * Writes what is made of the schema of configurations: schema/user-llm.schema.json, and the reference of
 * docs/configuration.md. A test fails when they are not current.
 *
 *     node --import=tsx scripts/config-reference.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { expectation, jsonSchema, nodesAt, type SchemaNode } from "../src/config/index.js";
import { configSchema } from "../src/recipes/config.js";

const begin = "<!-- reference: begin -->\n";
const end = "<!-- reference: end -->\n";

const root = jsonSchema(configSchema);
export const schemaFile = new URL("../schema/user-llm.schema.json", import.meta.url);
export const pageFile = new URL("../docs/configuration.md", import.meta.url);

export const schemaText = (): string => `${JSON.stringify(root, null, 2)}\n`;

/** The page with a current reference. */
export function pageText(page: string): string {
  const before = page.slice(0, page.indexOf(begin) + begin.length);
  return `${before}\n${section([])}${page.slice(page.indexOf(end))}`;
}

/** A heading and a table for the options at a path, and for those below. */
function section(path: readonly string[]): string {
  const children = new Map<string, SchemaNode>();
  for (const { properties = {}, additionalProperties } of nodesAt(root, path)) {
    for (const [key, node] of Object.entries(properties)) {
      if (!children.has(key)) children.set(key, node);
    }
    if (typeof additionalProperties === "object") children.set("<name>", additionalProperties);
  }
  if (children.size === 0) return "";
  const rows = [...children].map(([key, node]) => row([...path, key], node));
  const heading = path.length === 0 ? "" : `### \`${path.join(".")}\`\n\n`;
  const isName = children.has("<name>");
  const table = isName
    ? ""
    : `| option | value | default | |\n|---|---|---|---|\n${rows.join("")}\n`;
  return (
    (isName ? "" : heading + table) +
    [...children.keys()].map((key) => section([...path, key])).join("")
  );
}

function row(path: readonly string[], { description = "", ...node }: SchemaNode): string {
  const nodes = nodesAt(root, path);
  const isSection = nodes.every(({ properties }) => properties !== undefined);
  const value = isSection ? "section" : cell(expectation(nodes));
  const given =
    isSection || node.default === undefined ? "" : `\`${JSON.stringify(node.default)}\``;
  const env = node["x-env"] === undefined ? "" : ` Environment: \`${node["x-env"]}\`.`;
  return `| \`${path.at(-1)}\` | ${value} | ${given} | ${cell(description)}${env} |\n`;
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replace(/"([^"]*)"/g, "`$1`");

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  writeFileSync(schemaFile, schemaText());
  writeFileSync(pageFile, pageText(readFileSync(pageFile, "utf8")));
}
