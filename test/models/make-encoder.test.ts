import test from "ava";
import { Embedding, Generator, Module, memory, rand, UsageError } from "../../src/index.js";
import {
  AutoregressiveEncoder,
  Bert4RecEncoder,
  DualEncoder,
  type EncoderData,
  type EncoderFamily,
  type EncoderOptions,
  featureNamesOf,
  makeEncoder,
  type UserEncoder,
} from "../../src/models/index.js";

const data: EncoderData = {
  features: [
    { name: "item", bag: false, size: 7, of: "event" },
    { name: "rating", bag: false, size: 5, of: "event" },
    { name: "genres", bag: true, size: 4, of: "item" },
  ],
  length: 6,
};

rand([1]).dispose(); // the default generator keeps a tensor

let before = 0;
test.beforeEach(() => {
  before = memory().tensors;
});
test.afterEach((t) => t.is(memory().tensors, before, "tensors leaked"));

test.serial("autoregressive: the options are its class's", (t) => {
  const options = { kind: "autoregressive", layers: 1, width: 8, heads: 2 } as const;
  using made = makeEncoder(options, data);
  using direct = new AutoregressiveEncoder(data, options);
  t.is(made.width, 8);
  t.deepEqual(
    made.features.map(({ name }) => name),
    ["item", "rating", "genres"],
  );
  t.deepEqual([...made.stateDict().keys()], [...direct.stateDict().keys()]);
});

test.serial("the generator decides the initial values", async (t) => {
  const options: EncoderOptions = { kind: "autoregressive", layers: 1, width: 8, heads: 2 };
  const values = async (seed: number) => {
    const generator = new Generator(seed);
    using encoder = makeEncoder(options, data, { generator });
    generator.dispose();
    const [weight] = encoder.stateDict().values();
    return await weight!.dataAs("float32");
  };
  t.deepEqual(await values(1), await values(1));
  t.notDeepEqual(await values(1), await values(2));
});

test.serial("sasrec reads the item alone and projects nothing", (t) => {
  using made = makeEncoder({ kind: "sasrec", layers: 1, width: 8, heads: 2 }, data);
  t.deepEqual(made.features, [data.features[0]!]);
  t.is((made as AutoregressiveEncoder).events.projection, undefined);
  t.deepEqual(featureNamesOf({ kind: "sasrec" }), []);
  t.deepEqual(featureNamesOf({ kind: "autoregressive", features: ["rating"] }), ["rating"]);
  t.is(featureNamesOf({ kind: "autoregressive" }), undefined);
});

test.serial("bert4rec: the options are its class's", (t) => {
  const options = { kind: "bert4rec", layers: 1, width: 8, heads: 2, head: "tied" } as const;
  using made = makeEncoder(options, data);
  using direct = new Bert4RecEncoder(data, options);
  t.true(made instanceof Bert4RecEncoder);
  t.deepEqual([...made.stateDict().keys()], [...direct.stateDict().keys()]);
  t.is((made as Bert4RecEncoder).headNorm, undefined);
});

class Mine extends Module {
  readonly embeddingsPerUser = "events";
  readonly width = 3;
  readonly table: Embedding;
  constructor(
    readonly features: EncoderData["features"],
    readonly options: Readonly<Record<string, unknown>>,
  ) {
    super();
    this.table = new Embedding(features[0]!.size, 3);
  }
  loss = () => ({}) as never;
  embed = () => ({}) as never;
  query = () => ({}) as never;
  itemTable = () => ({}) as never;
}

const mine: EncoderFamily = {
  name: "mine",
  create: ({ features }, options) => new Mine(features, options),
};

test.serial("dual: the options are its class's, and the training data reaches it", (t) => {
  const trainingData = {
    itemTargets: new Float64Array(7),
    itemValues: { genres: { offsets: new Int32Array(6), values: new Int32Array(0) } },
  };
  const labelled = {
    ...data,
    features: data.features.map((feature) => ({ ...feature, longest: 2 })),
  };
  const options: EncoderOptions = { kind: "dual", layers: 1, width: 8, heads: 2, outputs: 3 };
  using made = makeEncoder(options, labelled);
  t.true(made instanceof DualEncoder);
  t.is(made.embeddingsPerUser, 3);
  t.throws(() => makeEncoder(options, labelled, { trainingData }), {
    instanceOf: UsageError,
    message: /values of genres for 5 items, not for 7/,
  });
});

test.serial("a custom encoder is made by its family, with its options as they are", (t) => {
  using made = makeEncoder({ kind: "custom", name: "mine", options: { depth: 2 } }, data, {
    custom: [mine],
  });
  t.true(made instanceof Mine);
  t.deepEqual((made as Mine).options, { depth: 2 });
});

test.serial("a custom encoder that is not there, or is none, is refused", (t) => {
  const made = (...custom: EncoderFamily[]) =>
    makeEncoder({ kind: "custom", name: "mine" }, data, { custom });
  const refused = (message: string, ...custom: EncoderFamily[]) =>
    t.throws(() => made(...custom), { instanceOf: UsageError, message });
  refused('no encoder "mine" was given; there are none');
  refused('no encoder "mine" was given; there are yours', { ...mine, name: "yours" });
  refused('encoder "mine" is not a Module', { ...mine, create: () => ({}) as UserEncoder });
  const lacking = (changes: object): EncoderFamily => ({
    ...mine,
    create: (...args) => Object.assign(mine.create(...args), changes),
  });
  refused('encoder "mine" has no method query', lacking({ query: undefined }));
  refused('encoder "mine": width must be a whole number above 0, got 0.5', lacking({ width: 0.5 }));
});
