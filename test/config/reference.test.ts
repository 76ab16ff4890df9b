import { readFileSync } from "node:fs";
import test from "ava";
import { pageFile, pageText, schemaFile, schemaText } from "../../scripts/config-reference.js";
import { parseConfig, resolveConfig } from "../../src/config/index.js";
import { configSchema } from "../../src/recipes/config.js";

const renew = "run: node --import=tsx scripts/config-reference.ts";

test("schema/user-llm.schema.json is current", (t) => {
  t.is(readFileSync(schemaFile, "utf8"), schemaText(), renew);
});

test("the reference of docs/configuration.md is current", (t) => {
  const page = readFileSync(pageFile, "utf8");
  t.is(page, pageText(page), renew);
});

test("the configuration of docs/configuration.md is valid", (t) => {
  const page = readFileSync(pageFile, "utf8");
  const [, yaml = ""] = /```yaml\n(.*?)```/s.exec(page) ?? [];
  t.is(
    resolveConfig(configSchema, [parseConfig(yaml, "cfg.yaml")]).data.table?.items?.title,
    "name",
  );
});

test("every option is described", (t) => {
  const undescribed = JSON.stringify(JSON.parse(schemaText()), (_key, value: unknown) => {
    if (typeof value !== "object" || value === null || !("properties" in value)) return value;
    for (const [name, option] of Object.entries(value.properties as object)) {
      t.regex((option as { description?: string }).description ?? "", /^\S.*\.$/, name);
    }
    return value;
  });
  t.not(undescribed, "");
});
