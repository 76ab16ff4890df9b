/** Layers become a configuration, or problems that say what, where, the rule and what came instead. */
import test from "ava";
import fc from "fast-check";
import { z } from "zod";
import {
  checkConfig,
  environmentLayers,
  jsonSchema,
  type Layer,
  layer,
  parseConfig,
  resolveConfig,
  setLayer,
} from "../../src/config/index.js";
import { ConfigError } from "../../src/errors.js";
import { configSchema } from "../../src/recipes/config.js";

const feature = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("bag"), column: z.string(), separator: z.string().optional() }),
  z.strictObject({ kind: z.enum(["id", "text"]), column: z.string() }),
]);
const schema = z.strictObject({
  seed: z.int().min(0).default(0).meta({ "x-env": "TEST_SEED" }),
  train: z
    .strictObject({
      learningRate: z.number().gt(0).lt(1).default(1e-3),
      steps: z.int().min(1).max(100).default(10),
      schedule: z.enum(["cosine", "linear"]).default("cosine"),
      layers: z.array(z.int()).min(1).optional(),
      half: z.boolean().default(false).meta({ "x-env": "TEST_HALF" }),
      limit: z
        .union([z.int(), z.string().regex(/^\d+MB$/)])
        .optional()
        .meta({ "x-expects": "a size, as 512MB" }),
    })
    .prefault({}),
  data: z
    .strictObject({
      path: z.string(),
      features: z
        .record(
          z.string().regex(/^[a-z]+$/, "names are small letters"),
          z.union([z.enum(["id", "text"]), feature]),
        )
        .optional(),
    })
    .optional(),
});

const file = (text: string): Layer => parseConfig(text, "cfg.yaml");
const problems = (...layers: Layer[]): string[] =>
  checkConfig(schema, layers).problems.map(({ message }) => message);

test("later layers win, objects are merged, lists are replaced", (t) => {
  const config = resolveConfig(schema, [
    ...environmentLayers(jsonSchema(schema), { TEST_SEED: "5", TEST_HALF: "true", OTHER: "1" }),
    file("seed: 6\ntrain: {steps: 20, layers: [1, 2], schedule: linear}\n"),
    setLayer("train.steps=30"),
    setLayer("train.layers=[3]"),
    layer({ train: { steps: 40 } }, "--steps"),
  ]);
  t.deepEqual(config, {
    seed: 6,
    train: { learningRate: 1e-3, steps: 40, schedule: "linear", layers: [3], half: true },
  });
});

test("an empty environment variable is none", (t) => {
  t.deepEqual(environmentLayers(jsonSchema(schema), { TEST_SEED: "" }), []);
});

const told: [string, Layer, string][] = [
  [
    "a number that is a text",
    file("train:\n  steps: fifty\n"),
    'cfg.yaml, line 2, column 10: train.steps: expected a whole number from 1 to 100, got "fifty"',
  ],
  [
    "a number out of range",
    file("train: {learningRate: 1}\n"),
    "cfg.yaml, line 1, column 23: train.learningRate: expected a number greater than 0 and below 1, got 1",
  ],
  [
    "an infinite number",
    file("train: {learningRate: .inf}\n"),
    "cfg.yaml, line 1, column 23: train.learningRate: expected a number greater than 0 and below 1, got Infinity",
  ],
  ["a fraction", setLayer("seed=1.5"), "--set: seed: expected a whole number from 0, got 1.5"],
  [
    "nothing",
    file("seed:\n"),
    "cfg.yaml, line 1, column 1: seed: expected a whole number from 0, got null",
  ],
  [
    "a choice",
    setLayer("train.schedule=step"),
    '--set: train.schedule: expected "cosine" or "linear", got "step"',
  ],
  ["a fact", setLayer("train.half=yes"), '--set: train.half: expected true or false, got "yes"'],
  [
    "an empty list",
    setLayer("train.layers=[]"),
    "--set: train.layers: expected a list that is not empty, got a list",
  ],
  [
    "an element",
    setLayer("train.layers=[1, x]"),
    '--set: train.layers.1: expected a whole number, got "x"',
  ],
  [
    "a size",
    setLayer("train.limit=5 parsecs"),
    '--set: train.limit: expected a size, as 512MB, got "5 parsecs"',
  ],
  ["a section that is a number", setLayer("train=3"), "--set: train: expected a mapping, got 3"],
  [
    "a missing option",
    file("data:\n  features: {}\n"),
    "cfg.yaml, line 1, column 1: data.path is missing: expected a text",
  ],
  [
    "a name that is not allowed",
    setLayer("data={path: p, features: {A: id}}"),
    "--set: data.features.A: names are small letters",
  ],
  [
    "one of several forms",
    setLayer("data={path: p, features: {a: idd}}"),
    '--set: data.features.a: expected "id", "text" or a mapping, got "idd"',
  ],
  [
    "a choice that selects the form",
    setLayer("data={path: p, features: {a: {kind: bags, column: x}}}"),
    '--set: data.features.a.kind: expected "bag", "id" or "text", got "bags"',
  ],
  [
    "an option within a form",
    setLayer("data={path: p, features: {a: {kind: bag, column: x, seperator: y}}}"),
    "--set: data.features.a.seperator is not an option; did you mean data.features.a.separator?",
  ],
  [
    "an option that the form does not have",
    setLayer("data={path: p, features: {a: {kind: text}}}"),
    "--set: data.features.a.column is missing: expected a text",
  ],
  [
    "a long value",
    setLayer(`seed=${"x".repeat(1000)}`),
    `--set: seed: expected a whole number from 0, got "${"x".repeat(59)}…`,
  ],
];
for (const [name, given, message] of told)
  test(`told: ${name}`, (t) => {
    t.deepEqual(problems(given), [message]);
  });

const suggested: [string, string | undefined][] = [
  ["train.learningrate", "train.learningRate"],
  ["train.leraningRate", "train.learningRate"],
  ["train.learning_rate", "train.learningRate"],
  ["learningRate", "train.learningRate"],
  ["trian.steps", "train"],
  ["sed", "seed"],
  ["train.batchSize", undefined],
  ["x", undefined],
];
for (const [path, meant] of suggested)
  test(`${path} is not an option; meant: ${meant}`, (t) => {
    const wrong = path.startsWith("trian") ? "trian" : path;
    const hint = meant === undefined ? "" : `; did you mean ${meant}?`;
    t.deepEqual(problems(setLayer(`${path}=1`)), [`--set: ${wrong} is not an option${hint}`]);
  });

test("every problem is listed, each with where it is; an error names the first and counts the others", (t) => {
  const layers = [file("sead: 1\ntrain:\n  steps: 0\n"), setLayer("train.half=2")];
  t.deepEqual(problems(...layers), [
    "cfg.yaml, line 3, column 10: train.steps: expected a whole number from 1 to 100, got 0",
    "--set: train.half: expected true or false, got 2",
    "cfg.yaml, line 1, column 7: sead is not an option; did you mean seed?",
  ]);
  t.throws(() => resolveConfig(schema, layers), {
    instanceOf: ConfigError,
    message: /^cfg\.yaml, line 3, column 10: .*, got 0 \(and 2 more; config check lists them\)$/,
  });
});

for (const text of ["a", "=1", "a.=1", ".a=1", "a..b=1", ""])
  test(`--set ${JSON.stringify(text)} is refused`, (t) => {
    t.throws(() => setLayer(text), {
      instanceOf: ConfigError,
      message: /^--set: expected option=value, as in data\.split\.length=50, got/,
    });
  });

for (const text of [
  "__proto__.x=1",
  "train.constructor=1",
  "a.prototype.b=1",
  "<<=1",
  "a={__proto__: {x: 1}}",
  "a=[{constructor: 1}]",
])
  test(`--set ${text} is refused`, (t) => {
    t.throws(() => setLayer(text), {
      instanceOf: ConfigError,
      message: /not allowed|not supported/,
    });
  });

test("no --set changes the prototypes of objects", (t) => {
  const key = fc.oneof(
    fc.constantFrom(
      "__proto__",
      "constructor",
      "prototype",
      "toString",
      "hasOwnProperty",
      "train",
      "steps",
    ),
    fc.string(),
  );
  const before = Reflect.ownKeys(Object.prototype).length;
  fc.assert(
    fc.property(fc.array(key, { minLength: 1, maxLength: 5 }), fc.json(), (path, value) => {
      try {
        checkConfig(schema, [setLayer(`${path.join(".")}=${value}`)]);
      } catch (error) {
        t.true(error instanceof ConfigError, String(error));
      }
      t.is(Reflect.ownKeys(Object.prototype).length, before);
      t.is(({} as { polluted?: unknown }).polluted, undefined);
    }),
    {
      numRuns: 1000,
      examples: [
        [["__proto__", "polluted"], "1"],
        [["constructor", "prototype", "polluted"], "1"],
      ],
    },
  );
});

test("no file makes anything but a configuration or a ConfigError", (t) => {
  const text = fc.oneof(
    fc.string(),
    fc.json(),
    fc
      .array(
        fc.constantFrom(
          "seed",
          "train",
          ":",
          " ",
          "\n",
          "-",
          "[",
          "{",
          "}",
          "]",
          "&a",
          "*a",
          "<<",
          "!!",
          "1",
          '"',
        ),
      )
      .map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(text, (source) => {
      try {
        checkConfig(schema, [parseConfig(source, "cfg.yaml")]);
      } catch (error) {
        t.true(error instanceof ConfigError, `${JSON.stringify(source)}: ${String(error)}`);
      }
    }),
    { numRuns: 2000 },
  );
});

test("resolving what was resolved changes nothing", (t) => {
  const value = fc.record(
    {
      seed: fc.nat(),
      data: fc.record(
        {
          source: fc.constantFrom("movielens", "table"),
          out: fc.string({ minLength: 1 }),
          memoryLimit: fc.constantFrom("512MB", 1000),
          split: fc.record(
            {
              length: fc.integer({ min: 1, max: 1000 }),
              windows: fc.constantFrom("full", "padded"),
            },
            { requiredKeys: [] },
          ),
        },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(value, (given) => {
      const once = resolveConfig(configSchema, [layer(given, "")]);
      t.deepEqual(resolveConfig(configSchema, [layer(once, "")]), once);
      t.deepEqual(once, {
        ...once,
        ...given,
        data: { ...once.data, ...given.data, split: once.data.split },
      });
      t.deepEqual(once.data.split, { ...once.data.split, ...given.data?.split });
    }),
  );
});
