/** Sections of the configuration are options of the library, by name, type and default. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { parseSize } from "../../src/cli/size.js";
import { checkConfig, resolveConfig } from "../../src/config/index.js";
import type { LoaderOptions } from "../../src/data/loader/loader-options.js";
import { settingsOf } from "../../src/data/loader/loader-options.js";
import { prepare } from "../../src/data/prepare.js";
import { PreparedData } from "../../src/data/prepared/prepared-data.js";
import type { TableEvents, TableItems } from "../../src/data/sources/table.js";
import { synthetic } from "../../src/data/synthetic/source.js";
import { type SplitOptions, split } from "../../src/data/windows/split.js";
import { configSchema } from "../../src/recipes/config.js";

const { data } = resolveConfig(configSchema, []);

// Compiled, these hold the types together.
const splitOptions: SplitOptions = data.split;
const loaderOptions: LoaderOptions = data.loader;
export type Events = NonNullable<typeof data.table>["events"] & { file: string };
export const eventsOf = (events: Events): TableEvents => events;
export const itemsOf = (items: NonNullable<typeof data.table>["items"]): TableItems | undefined =>
  items;

test("without options, a split and a loader do what the configuration says", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-options-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const out = join(folder, "prepared");
  await prepare(
    synthetic({
      preset: "tiny",
      lengthSpread: 0.2,
      shortest: 55,
      items: 300,
      users: 10,
      events: 600,
    }),
    { out },
  );
  using prepared = await PreparedData.open(out);
  for (const given of [{}, { strategy: "temporal", temporal: {}, disjointUsers: {} }] as const) {
    const configured = resolveConfig(configSchema, [
      { value: { data: { split: { ...given, windows: "padded" } } }, where: () => undefined },
    ]).data.split;
    const [byDefault, byConfig] = await Promise.all([
      split(prepared, { ...given, windows: "padded" }),
      split(prepared, configured),
    ]);
    t.deepEqual(byConfig.card.decisions, byDefault.card.decisions);
  }
  t.is(splitOptions.windows, (await split(prepared)).card.decisions.windows);
  t.deepEqual(settingsOf(loaderOptions), settingsOf({ batchSize: data.loader.batchSize }));
});

test("the name of a feature that prepared data keeps for itself is refused", (t) => {
  const given = (name: string) => [
    {
      value: { data: { table: { events: { features: { [name]: "ordinal" } } } } },
      where: () => "cfg.yaml",
    },
  ];
  t.notThrows(() => resolveConfig(configSchema, given("stars")));
  t.throws(() => resolveConfig(configSchema, given("time")), {
    message: "cfg.yaml: data.table.events.features.time: prepared data keeps this name for itself",
  });
});

test("a size is written as for the flag", (t) => {
  for (const memoryLimit of ["512MB", "512mb", "1.5 GiB", "64k", "5 potatoes", "1GBs"]) {
    const value = { data: { memoryLimit } };
    const { problems } = checkConfig(configSchema, [{ value, where: () => undefined }]);
    t.is(problems.length === 0, parseSize(memoryLimit) !== undefined, memoryLimit);
  }
});
