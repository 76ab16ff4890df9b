/** Every file of configs/ is a configuration. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import test from "ava";
import { readConfigFile, resolveConfig } from "../../src/config/index.js";
import { configSchema } from "../../src/recipes/config.js";

const folder = new URL("../../configs/", import.meta.url);

for (const name of readdirSync(folder))
  test(`${name} is valid`, async (t) => {
    const layer = await readConfigFile(fileURLToPath(new URL(name, folder)));
    t.notThrows(() => resolveConfig(configSchema, [layer]));
  });
