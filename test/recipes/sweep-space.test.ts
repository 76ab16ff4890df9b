import test from "ava";
import fc from "fast-check";
import { ConfigError } from "../../src/errors.js";
import { type Trial, trialsOf } from "../../src/recipes/sweep-space.js";
import { given, grid, random } from "./given-sweep.js";

function trials(section: string): Promise<Trial[]> {
  const { config, layers } = given(section);
  return trialsOf(config.sweep!, layers);
}

test("a grid has every combination, the last option varying fastest", async (t) => {
  const list = await trials(grid);
  t.deepEqual(
    list.map(({ values }) => Object.values(values)),
    [
      ...[
        [1, 0],
        [1, 0.1],
        [1, 0.3],
      ],
      ...[
        [2, 0],
        [2, 0.1],
        [2, 0.3],
      ],
    ],
  );
  t.deepEqual(
    list.map(({ number }) => number),
    [1, 2, 3, 4, 5, 6],
  );
  const { encoder, sweep: section } = list[4]!.config;
  t.like(encoder, { kind: "autoregressive", layers: 2, dropout: 0.1, width: 128 });
  t.is(section, undefined);
});

test("the points of a range in a grid go from end to end", async (t) => {
  const points = async (range: string) => {
    const list = await trials(`strategy: grid\nparameters:\n  pretrain.learningRate: ${range}`);
    return list.map(({ values }) => values["pretrain.learningRate"]);
  };
  t.deepEqual(await points("{ min: 1e-4, max: 1e-2, scale: log, points: 3 }"), [1e-4, 1e-3, 1e-2]);
  t.deepEqual(await points("{ min: 1, max: 2, points: 5 }"), [1, 1.25, 1.5, 1.75, 2]);
  t.deepEqual(await points("{ min: 1, max: 3, scale: int, points: 9 }"), [1, 2, 3]);
});

test("the trials of a random sweep are the seed's, on any machine", async (t) => {
  const list = await trials(random);
  t.is(list.length, 12);
  t.deepEqual(await trials(random), list);
  t.deepEqual(list[0]!.values, {
    "pretrain.learningRate": 0.004583,
    "encoder.dropout": 0.1222,
    "encoder.layers": 1,
    "encoder.positions": "learned",
  });
  const [other] = await trials(random.replace("seed: 5", "seed: 6"));
  t.notDeepEqual(other!.values, list[0]!.values);
});

test("more trials begin with those that there were", async (t) => {
  const list = await trials(random);
  const more = await trials(random.replace("trials: 12", "trials: 40"));
  t.deepEqual(more.slice(0, 12), list);
});

test("drawn values fill their ranges and never leave them, and no combination comes twice", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), async (seed) => {
      const list = await trials(random.replace("seed: 5", `seed: ${seed}`).replace("12", "100"));
      const column = (path: string) => list.map(({ values }) => values[path] as number);
      const rates = column("pretrain.learningRate");
      t.true(rates.every((rate) => rate >= 1e-4 && rate <= 1e-2));
      // Half of a log scale lies below the geometric mean.
      const low = rates.filter((rate) => rate < 1e-3).length;
      t.true(low > 25 && low < 75);
      t.deepEqual([...new Set(column("encoder.layers"))].sort(), [1, 2, 3]);
      t.is(new Set(column("encoder.positions")).size, 2);
      t.is(new Set(list.map(({ values }) => JSON.stringify(values))).size, 100);
    }),
    { numRuns: 10 },
  );
});

test("a small space is drawn whole, and asked for more, refused", async (t) => {
  const small = "parameters:\n  encoder.layers: { values: [1, 2, 3] }\n  seed: { values: [0, 1] }";
  const all = await trials(small);
  t.is(new Set(all.map(({ values }) => JSON.stringify(values))).size, 6);
  await t.throwsAsync(trials(`trials: 7\n${small}`), {
    instanceOf: ConfigError,
    message:
      "sweep.trials: 7 trials are more than the 6 combinations; the strategy grid takes them all",
  });
});

const wrong: [section: string, message: string | RegExp][] = [
  ["parameters: {}", "sweep.parameters: there is nothing to vary"],
  [
    "parameters: { encoder.dropuot: { values: [0] } }",
    "cfg.yaml, line 3, column 17: sweep.parameters: encoder.dropuot is not an option; did you mean encoder.dropout?",
  ],
  [
    "parameters: { learningRate: { values: [0.1] } }",
    /: learningRate is not an option; did you mean pretrain.learningRate\?$/,
  ],
  [
    "parameters: { pretrain.logEvery: { values: [1, two] } }",
    /sweep.parameters: pretrain.logEvery: expected a whole number from 1, got "two"$/,
  ],
  [
    "parameters: { pretrain.learningRate: { min: 1, max: 1 } }",
    "sweep.parameters.pretrain.learningRate: min must be below max, got 1 and 1",
  ],
  [
    "parameters: { pretrain.learningRate: { min: 0, max: 1, scale: log } }",
    "sweep.parameters.pretrain.learningRate: a log scale starts above 0, got min 0",
  ],
  [
    "parameters: { encoder.layers: { min: 0.5, max: 3, scale: int } }",
    "sweep.parameters.encoder.layers: a scale of whole numbers has whole ends, got 0.5 and 3",
  ],
  ["parameters: { seed: { values: [1, 1] } }", "sweep.parameters.seed: 1 is there twice"],
  [
    "parameters: { pretrain.monitor: { values: [loss] } }",
    "sweep.parameters.pretrain.monitor: pretrain.monitor is the same for all trials, or they could not be compared",
  ],
  ["parameters: { evaluate.ks: { values: [1] } }", /evaluate is the same for all trials/],
  [
    "strategy: grid\ntrials: 3\nparameters: { seed: { values: [1] } }",
    "sweep.trials is of the strategy random; a grid has all combinations",
  ],
  [
    "strategy: grid\nparameters: { encoder.dropout: { min: 0, max: 0.5 } }",
    "sweep.parameters.encoder.dropout: in a grid, a range needs points, or give values",
  ],
  [
    "strategy: grid\nparameters:\n  seed: { min: 1, max: 200, scale: int, points: 200 }\n  encoder.layers: { values: [1, 2, 3, 4, 5, 6] }",
    "sweep.parameters: a grid of 200 x 6 is 1200 trials, more than 1000; try fewer values, or the strategy random",
  ],
  [
    "trials: 20\nparameters: { pretrain.learningRate: { min: 0.001, max: 0.001001 } }",
    "sweep.parameters: the ranges are too narrow for so many trials",
  ],
];
for (const [section, message] of wrong)
  test(`refused: ${section}`, async (t) => {
    await t.throwsAsync(trials(section), { instanceOf: ConfigError, message });
  });
